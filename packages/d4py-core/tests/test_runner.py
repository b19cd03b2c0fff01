"""The PE runner by itself: life cycle, what is written, the fast way and the plain one."""

import threading

import pytest
from core_helpers.runners import Each, Work, failure, make_runner, written

from dispel4py import ConsumerPE, IterativePE, ProducerPE
from dispel4py.engine.items.copying import share_item
from dispel4py.engine.limits import EngineLimits
from dispel4py.errors import UnknownOutputError


class Clock:
    """Stands for `perf_counter`; time passes only where a test moves it."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


# Life cycle


def test_i2_instance_owns_a_copy_of_its_pe():
    pe = Work()
    pe.state = [1]

    runner = make_runner(pe)
    runner.pe.state.append(2)

    assert runner.pe is not pe
    assert pe.state == [1]
    assert pe.id == "Work"


def test_i4_instance_knows_its_id_and_rank():
    runner = make_runner(Work(), rank=7)

    assert (runner.pe.id, runner.pe.rank) == ("Work1", 7)


def test_i4_log_goes_to_the_run_with_id_and_rank():
    told = []

    written(
        Work(lambda pe, inputs: pe.log(inputs["input"])),
        ["half", 2],
        rank=3,
        log=lambda *line: told.append(line),
    )

    assert told == [("Work1", 3, "half"), ("Work1", 3, "2")]


def test_i2_process_gets_a_dict_of_one_input():
    seen = []

    written(Work(lambda pe, inputs: seen.append(inputs)), [5, None])

    assert seen == [{"input": 5}, {"input": None}]


def test_root_gets_the_dicts_of_its_calls():
    seen = []

    written(Work(lambda pe, inputs: seen.append(inputs)), [{}, {"a": 1}], root=True)

    assert seen == [{}, {"a": 1}]


@pytest.mark.parametrize("phase", ["preprocess", "postprocess"])
def test_i2_all_phases_may_write(phase):
    pe_class = type("Writes", (Work,), {phase: lambda self: self.write("output", phase)})

    runner = make_runner(pe_class())
    runner.postprocess()

    assert runner.written == {"output": [phase], "second": []}


def test_what_preprocess_wrote_is_sent_before_the_first_item():
    class Greets(Work):
        def preprocess(self):
            self.write("output", "hello")

    sent = []

    def send(runner):
        sent.extend(runner.written["output"])
        runner.written["output"].clear()

    make_runner(Greets(), on_written=send)

    assert sent == ["hello"]


def test_process_may_be_chosen_in_preprocess():
    class Chooses(IterativePE):
        def preprocess(self):
            self._process = str

    assert written(Chooses(), [1]) == {"output": ["1"]}


# What is returned and written


@pytest.mark.parametrize("nothing", [None, {}])
def test_m4_none_and_an_empty_dict_send_nothing(nothing):
    assert written(Work(lambda pe, inputs: nothing), [1, 2]) == {}


def test_m4_returned_dict_goes_to_the_outputs_it_names():
    pe = Work(lambda pe, inputs: {"output": inputs["input"], "second": None})

    assert written(pe, [1, 2]) == {"output": [1, 2], "second": [None, None]}


def test_m4_falsy_data_is_data():
    assert written(Each(lambda data: data), [0, "", False, 0.0]) == {"output": [0, "", False, 0.0]}
    assert written(Each(lambda data: data), [[], {}]) == {"output": [[], {}]}


def test_m4_write_and_return_can_be_mixed():
    def work(pe, inputs):
        pe.write("output", "first")
        pe.write("second", "aside")
        return {"output": "last"}

    assert written(Work(work), [1]) == {"output": ["first", "last"], "second": ["aside"]}


@pytest.mark.parametrize("how", ["written", "returned"])
def test_m4_unknown_output_names_pe_output_and_outputs(how):
    def work(pe, inputs):
        if how == "returned":
            return {"outptu": 1}
        return pe.write("outptu", 1)

    error = failure(Work(work))

    assert isinstance(error.__cause__, UnknownOutputError)
    assert str(error.__cause__) == ("Work1 has no output 'outptu' (outputs: 'output' and 'second')")


@pytest.mark.parametrize("returned", [5, "text", [1], 0, False, ("output", 1)])
def test_error_of_process_that_returns_no_dict_names_what_to_return(returned):
    error = failure(Work(lambda pe, inputs: returned))

    assert error.reason == (
        f"TypeError: process() returned {returned!r}; it can return a dict of output name and"
        " data, or None"
    )


def test_process_may_return_any_mapping():
    from collections import OrderedDict
    from types import MappingProxyType

    for kind in (OrderedDict, MappingProxyType):
        assert written(Work(lambda pe, inputs, kind=kind: kind({"output": 1})), [1]) == {
            "output": [1]
        }


# Each base PE goes the fast way and says the same as on the plain one


def plain(kind: type) -> type:
    """The same PE with a `process` of its own, so that it is called by that."""
    return type(
        "Plain", (kind,), {"process": lambda self, inputs: super(kind, self).process(inputs)}
    )


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])
@pytest.mark.parametrize(
    ("base", "root", "items", "expected"),
    [
        (IterativePE, False, [1, None, 0, "a", [2], 2.5], {"output": [1, 0, "a", [2], 2.5]}),
        (ProducerPE, True, [{}, {"a": 1}], {"output": [{}, {"a": 1}]}),
        (ConsumerPE, False, [1, [2]], {}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_direct_and_plain_calls_agree(base, root, items, expected, fast):
    kind = type("Identity", (base,), {"_process": lambda self, data: data})
    pe = (kind if fast else plain(kind))()

    assert written(pe, items, root=root) == expected


def test_return_value_of_a_consumer_goes_nowhere_and_is_not_copied():
    class Returns(ConsumerPE):
        def _process(self, data):
            return threading.Lock()  # could not be copied

    runner = make_runner(Returns())
    runner.process("input", [1, 2])

    assert runner.written == {}


def test_renamed_ports_of_an_iterative_pe_are_used():
    class Renamed(IterativePE):
        OUTPUT_NAME = "out"

        def _process(self, data):
            return data

    assert written(Renamed(), [1]) == {"out": [1]}


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])
def test_m2_sender_may_change_what_it_returned(fast):
    class Reuses(IterativePE):
        def __init__(self):
            super().__init__()
            self.row = []

        def _process(self, data):
            self.row.append(data)
            return self.row

    pe = (Reuses if fast else plain(Reuses))()

    assert written(pe, [1, 2, 3]) == {"output": [[1], [1, 2], [1, 2, 3]]}


def test_m2_sender_may_change_what_it_wrote():
    def work(pe, inputs):
        row = [inputs["input"]]
        pe.write("output", row)
        row.append("later")

    assert written(Work(work), [1, 2]) == {"output": [[1], [2]]}


def test_shared_items_are_not_copied():
    item = [1]

    assert written(Each(lambda data: data), [item], copier=share_item)["output"][0] is item


# When written items go on their way


def test_c6_items_are_sent_when_a_chunk_is_full():
    sent = []

    def take(runner):
        sent.append(runner.written["output"][:])
        runner.written["output"].clear()

    def work(pe, inputs):
        for i in range(7):
            pe.write("output", i)

    assert written(
        Work(work), [1], on_written=take, limits=EngineLimits(batch_items=3, linger_seconds=1e9)
    ) == {"output": [6]}
    assert sent == [[0, 1, 2], [3, 4, 5]]


def test_items_are_sent_when_they_have_waited_long(clock):
    sent = []

    def take(runner):
        sent.append(runner.written["output"][:])
        runner.written["output"].clear()

    def work(pe, inputs):
        for seconds in (0.0, 0.5, 0.4, 0.2, 0.0):
            clock.now += seconds
            pe.write("output", clock.now)

    assert written(
        Work(work), [1], on_written=take, limits=EngineLimits(linger_seconds=1.0), clock=clock
    ) == {"output": [1.1]}
    assert sent == [[0.0, 0.5, 0.9, 1.1]]


# Figures


def test_stats_count_calls_and_the_seconds_spent_in_the_pe(clock):
    def work(pe, inputs):
        clock.now += 2.0
        pe.write("output", 1)  # what runs on it takes ten seconds, which are not this PE's

    def run_on(runner):
        clock.now += 10.0

    runner = make_runner(
        Work(work), on_written=run_on, limits=EngineLimits(batch_items=1), clock=clock
    )

    assert runner.process("input", [1, 2]) == 4.0
    assert (runner.stats.pe_id, runner.stats.items, runner.stats.seconds) == ("Work1", 2, 4.0)


def test_seconds_of_preprocess_and_postprocess_count_too(clock):
    class Slow(Work):
        def preprocess(self):
            clock.now += 1.0
            self.write("output", 1)

        def postprocess(self):
            clock.now += 2.0

    def run_on(runner):
        clock.now += 10.0

    runner = make_runner(
        Slow(lambda pe, inputs: None),
        on_written=run_on,
        limits=EngineLimits(batch_items=1),
        clock=clock,
    )
    runner.process("input", [1])
    runner.postprocess()

    assert runner.stats.seconds == 3.0


def test_pe_may_hold_modules():
    pe = Work(lambda pe, inputs: {"output": pe.module.__name__})
    pe.module = threading

    assert written(pe, [1]) == {"output": ["threading"]}
