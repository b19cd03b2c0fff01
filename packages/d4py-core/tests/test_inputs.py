"""What roots are called with, from whatever the caller gives."""

import itertools
import pickle
from collections import deque

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from dispel4py import ConsumerPE, GenericPE, IterativePE, ProducerPE, WorkflowGraph
from dispel4py.engine.inputs import CallRange, calls, root_inputs
from dispel4py.engine.planning.plan import Plan, make_plan
from dispel4py.errors import InputError


class Reader(GenericPE):
    def __init__(self):
        super().__init__()
        self._add_input("file")


def plan_of(*roots) -> Plan:
    graph = WorkflowGraph()
    for root in roots:
        graph.add(root)
    return make_plan(graph)


def given(inputs, *roots) -> dict[int, list]:
    """Number of each root → its calls."""
    plan = plan_of(*roots)
    return {
        index: list(calls(plan.pes[index], value))
        for index, value in root_inputs(plan, inputs).items()
    }


def refusal(inputs, *roots) -> str:
    with pytest.raises(InputError) as raised:
        given(inputs, *roots)
    return str(raised.value)


def test_g4_number_means_so_many_calls_of_every_root():
    assert given(2, ProducerPE(), ProducerPE()) == {0: [{}, {}], 1: [{}, {}]}


def test_g4_no_inputs_mean_one_call():
    assert given(None, ProducerPE()) == {0: [{}]}


@pytest.mark.parametrize("zero", [0, False, {}])
def test_g4_nothing_means_no_call(zero):
    assert given(zero, ProducerPE()) == {0: []}


def test_g4_list_means_one_call_each():
    assert given([{"a": 1}, {}], ProducerPE(), ProducerPE()) == {
        0: [{"a": 1}, {}],
        1: [{"a": 1}, {}],
    }


@pytest.mark.parametrize("make", [iter, tuple, deque, lambda rows: dict(enumerate(rows)).values()])
def test_g4_any_iterable_will_do(make):
    assert given({"Reader": make([{"file": "a"}, {"file": "b"}])}, Reader()) == {
        0: [{"file": "a"}, {"file": "b"}]
    }


@pytest.mark.parametrize("key", ["object", "id", "name"])
def test_g4_roots_are_named_by_object_id_or_name(key):
    one, other = ProducerPE(), Reader()
    named = {"object": other, "id": "Reader1", "name": "Reader"}[key]

    assert given({named: 3}, one, other) == {0: [], 1: [{}] * 3}


def test_g4_name_means_every_root_of_that_name():
    assert given({"ProducerPE": 1}, ProducerPE(), ProducerPE()) == {0: [{}], 1: [{}]}


def test_id_goes_before_name():
    one, other = ProducerPE(), ProducerPE()
    one.name = "ProducerPE1"

    assert given({"ProducerPE1": 1}, one, other) == {0: [], 1: [{}]}


@pytest.mark.parametrize("first", ["object", "ProducerPE"])
def test_g4_root_that_two_keys_name_is_refused(first):
    root = ProducerPE()
    key = root if first == "object" else first

    message = refusal({key: [{"a": 1}], "ProducerPE0": [{"a": 2}]}, root)

    assert message == (
        "the inputs name ProducerPE0 twice, by 'ProducerPE' and by 'ProducerPE0'; the calls of a"
        " root are one list, under one key"
    )


def test_g4_root_that_an_id_and_a_name_of_several_name_is_refused():
    message = refusal({"ProducerPE": 1, "ProducerPE1": 2}, ProducerPE(), ProducerPE())

    assert message.startswith("the inputs name ProducerPE1 twice")


def test_counts_may_be_numpy_integers():
    numpy = pytest.importorskip("numpy")

    assert given(numpy.int64(2), ProducerPE()) == {0: [{}, {}]}
    assert given({"ProducerPE": numpy.uint8(2)}, ProducerPE()) == {0: [{}, {}]}


def test_every_call_gets_a_dict_of_its_own():
    plan = plan_of(ProducerPE())
    first, second = calls(plan.pes[0], 2)

    assert first is not second


def test_m2_root_gets_copies_of_what_the_caller_gave():
    rows = [{"list": [1]}]
    plan = plan_of(ProducerPE())

    for call in calls(plan.pes[0], rows):
        call["list"].append(2)
        call["more"] = 3

    assert rows == [{"list": [1]}]


def test_generator_is_read_one_element_at_a_time():
    read = []
    rows = (read.append(i) or {"n": i} for i in itertools.count())
    plan = plan_of(ProducerPE())

    source = calls(plan.pes[0], root_inputs(plan, rows)[0])

    assert read == []
    assert (next(source), read) == ({"n": 0}, [0])
    assert (next(source), read) == ({"n": 1}, [0, 1])


def test_unfed_input_takes_data_by_its_name():
    assert given([{"input": 5}], IterativePE()) == {0: [{"input": 5}]}


# What is refused


def test_name_of_no_root_is_answered_with_the_roots():
    fed = IterativePE()
    graph = WorkflowGraph()
    graph.connect(ProducerPE(), "output", fed, "input")

    for key in ("Producer", fed, "IterativePE1", 0):
        with pytest.raises(InputError, match=r"no root of this graph \(roots: 'ProducerPE0'\)"):
            root_inputs(make_plan(graph), {key: 1})


def test_g4_names_of_no_root_are_ignored_with_a_warning(caplog):
    one, fed = ProducerPE(), IterativePE()
    graph = WorkflowGraph()
    graph.connect(one, "output", fed, "input")

    assert root_inputs(make_plan(graph), {"Reader": [{"x": 1}], one: 2, fed: 3}) == {0: 2}

    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == (
        "the inputs name 'Reader', 'IterativePE', which are no roots of this graph"
        " (roots: 'ProducerPE0'); that part of the inputs is not used"
    )


@pytest.mark.parametrize("inputs", ["-i 10", 2.5, b"x", object()])
def test_inputs_of_another_kind_are_refused(inputs):
    assert "has to be a number of calls or a list of dicts" in refusal(inputs, ProducerPE())
    assert "has to be a number of calls" in refusal({"ProducerPE": {"a": 1}}, ProducerPE())


def test_negative_count_is_refused():
    assert refusal(-1, ProducerPE()) == "ProducerPE0 cannot be called -1 times"


@pytest.mark.parametrize("inputs", [iter([{}]), {"ProducerPE": iter([{}])}])
def test_iterator_for_several_roots_is_refused(inputs):
    assert refusal(inputs, ProducerPE(), ProducerPE()) == (
        "an iterator can feed one root only; give each its own, by 'ProducerPE0' and 'ProducerPE1'"
    )


@pytest.mark.parametrize("kind", [IterativePE, ConsumerPE])
def test_count_for_a_root_that_reads_its_input_is_refused_with_what_to_give(kind):
    message = refusal(5, kind())

    assert message.startswith(f"nothing feeds input 'input' of {kind.__name__}0: connect it")
    assert f"inputs={{'{kind.__name__}0': [{{'input': …}}]}}" in message


def test_root_that_makes_something_of_no_input_may_be_counted():
    class Clock(IterativePE):
        def process(self, inputs):
            return {"output": 1}

    assert given(1, Clock()) == {0: [{}]}


BAD_ELEMENTS = [
    ([{"file": "a"}, 7], 'is 7; each has to be a dict of input name and data, such as {"file": …}'),
    ([{"flie": "a"}], "input number 0 of Reader0 names 'flie' (inputs: 'file')"),
    ([{"flie": "a", 3: "b"}], "input number 0 of Reader0 names 'flie' and '3'"),
]


@pytest.mark.parametrize(("rows", "message"), BAD_ELEMENTS)
def test_bad_element_of_a_list_is_found_before_the_run(rows, message):
    with pytest.raises(InputError) as raised:
        root_inputs(plan_of(Reader()), rows)

    assert message in str(raised.value)


@pytest.mark.parametrize(("rows", "message"), BAD_ELEMENTS)
def test_bad_element_of_a_generator_is_found_when_it_is_read(rows, message):
    plan = plan_of(Reader())
    source = calls(plan.pes[0], root_inputs(plan, iter(rows))[0])

    with pytest.raises(InputError) as raised:
        list(source)

    assert message in str(raised.value)


def test_bad_element_for_a_pe_without_inputs_is_answered_with_the_form_of_one():
    message = refusal(["readings.csv"], ProducerPE())

    assert "is 'readings.csv'; each has to be a dict such as {\"name\": …}, which" in message


def test_element_is_shortened_in_the_message():
    assert len(refusal(["x" * 10**6], Reader())) < 400


DICTS = [{"number": number} for number in range(20)]


@pytest.mark.parametrize("inputs", [20, DICTS], ids=["number", "dicts"])
@drawn(start=st.integers(-25, 25), stop=st.none() | st.integers(-25, 25), first=st.integers(0, 9))
def test_d3_slices_of_calls_know_which_calls_they_are(inputs, start, stop, first):
    whole = [{}] * 20 if inputs == 20 else DICTS
    cut = CallRange(first, inputs)[start:stop]
    assert list(cut) == whole[start:stop]
    assert len(cut) == len(whole[start:stop])
    assert bool(cut) == bool(whole[start:stop])
    if cut:
        assert cut.first == first + range(20)[start:stop][0]
        assert cut[0] == whole[start:stop][0]


def test_d3_any_number_of_calls_is_cut_in_no_time():
    rest = CallRange(0, 10**12)[10**11 :]
    assert (rest.first, len(rest)) == (10**11, 9 * 10**11)
    assert len(pickle.dumps(rest)) < 200


def test_d3_a_root_may_change_what_it_is_called_with():
    files = {"files": ["a"]}
    given_ = CallRange(0, [files])
    for call in (*given_, given_[0]):
        call.pop("files").append("b")
    assert list(given_) == [{"files": ["a"]}]


def test_calls_in_a_row_have_no_steps():
    with pytest.raises(ValueError, match="steps"):
        CallRange(0, 10)[::2]
