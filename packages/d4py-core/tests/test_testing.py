"""`dispel4py.testing.feed`: tests of a PE get what it sends, as a run would."""

import pickle
import pydoc
import random
from importlib.metadata import version

import pytest

import dispel4py
from dispel4py import CompositePE, ConsumerPE, GenericPE, IterativePE, ProducerPE
from dispel4py.errors import InputError, UndeclaredStateError
from dispel4py.testing import feed


class Mean(IterativePE):
    """Writes the mean of each station when all is read."""

    def __init__(self):
        super().__init__()
        self.add_input("input", grouping=["station"])
        self.sums = {}

    def _process(self, reading):
        total, count = self.sums.get(reading["station"], (0, 0))
        self.sums[reading["station"]] = total + reading["value"], count + 1

    def postprocess(self):
        for station, (total, count) in self.sums.items():
            self.write("output", (station, total / count))


class Join(GenericPE):
    """Sends a pair as soon as it has both sides of a key."""

    stateful = True

    def __init__(self):
        super().__init__()
        for side in ("left", "right"):
            self.add_input(side, grouping=[0])
        self.add_output("pair")
        self.add_output("first")
        self.waiting = {}

    def process(self, inputs):
        ((side, (key, value)),) = inputs.items()
        if key in self.waiting:
            return {"pair": (key, {side: value} | self.waiting.pop(key))}
        self.waiting[key] = {side: value}
        return {"first": key}


READINGS = [{"station": s, "value": v} for s, v in [("A", 1), ("B", 5), ("A", 3)]]


def test_what_is_written_in_postprocess_is_returned():
    assert feed(Mean(), READINGS) == {"output": [("A", 2.0), ("B", 5.0)]}


def test_groupings_bring_equal_keys_to_one_instance():
    assert sorted(feed(Mean(), READINGS, instances=4)["output"]) == [("A", 2.0), ("B", 5.0)]


def test_every_instance_is_started_and_finished():
    class Announce(IterativePE):
        def preprocess(self):
            self.write("output", "start")

        def postprocess(self):
            self.write("output", "end")

    assert feed(Announce(), [], instances=3) == {"output": 3 * ["start"] + 3 * ["end"]}


def test_several_inputs_get_dicts_in_the_given_order():
    items = [{"left": (1, "a")}, {"right": (2, "b")}, {"right": (1, "c")}]

    assert feed(Join(), items) == {
        "first": [1, 2],
        "pair": [(1, {"right": "c", "left": "a"})],
    }


def test_a_root_gets_calls():
    class Double(ProducerPE):
        def _process(self, inputs):
            return 2 * inputs.get("n", 0)

    assert feed(Double(), [{"n": 1}, {"n": 4}]) == {"output": [2, 8]}
    assert feed(Double(), 3) == {"output": [0, 0, 0]}


def test_a_pe_without_outputs_is_called():
    taken = []

    class Take(ConsumerPE):
        def _process(self, data):
            taken.append(data)

    assert feed(Take(), "ab") == {}
    assert taken == ["a", "b"]


def test_ids_of_items_are_unique_and_repeat():
    class Ids(IterativePE):
        item_ids = True

        def _process(self, data):
            return self.item_id

    ids = feed(Ids(), range(3))["output"]
    assert len(set(ids)) == 3
    assert feed(Ids(), range(3))["output"] == ids


def test_batches_are_at_most_as_long_as_the_pe_says():
    class Sizes(IterativePE):
        batch_size = 4

        def _process_batch(self, items):
            return [len(items)] * len(items)

    sizes = feed(Sizes(), range(50))["output"]
    assert len(sizes) == 50
    assert max(sizes) <= 4


def test_the_exception_of_the_pe_is_raised():
    class Invert(IterativePE):
        def _process(self, data):
            return 1 / data

    with pytest.raises(ZeroDivisionError) as raised:
        feed(Invert(), [1, 0])
    assert "failed in process at item 0" in raised.value.__notes__[-1]


@pytest.mark.parametrize("link", ["", " from error"])
def test_the_exception_keeps_its_cause_and_its_context(link):
    names = {}
    exec(CHAINED.replace("LINK", link), names)
    with pytest.raises(ValueError, match="bad") as raised:
        feed(names["Chained"](), [1])
    assert isinstance(raised.value.__context__, KeyError)
    assert isinstance(raised.value.__cause__, KeyError if link else type(None))
    assert raised.value.__suppress_context__ == bool(link)


CHAINED = """
from dispel4py import IterativePE

class Chained(IterativePE):
    def _process(self, data):
        try:
            return {}[data]
        except KeyError as error:
            raise ValueError("bad")LINK
"""


def test_i6_undeclared_state_is_an_error_unless_it_may_be():
    class Count(IterativePE):
        count = 0

        def _process(self, data):
            self.count += 1
            return self.count

    with pytest.raises(UndeclaredStateError, match="count"):
        feed(Count(), "abc")
    assert feed(Count(), "abc", strict=False) == {"output": [1, 2, 3]}


def test_random_numbers_repeat():
    class Draw(IterativePE):
        def _process(self, data):
            return random.random()

    assert feed(Draw(), "ab") == feed(Draw(), "ab") != feed(Draw(), "ab", seed=1)


def test_the_pe_and_its_items_are_left_as_they_were():
    pe, items = Mean(), [dict(reading) for reading in READINGS]
    before = pickle.dumps(pe)

    feed(pe, items, instances=3)

    assert pickle.dumps(pe) == before
    assert items == READINGS


@pytest.mark.parametrize(("pe", "items"), [(Mean(), 3), (Join(), [1, 2])])
def test_items_that_fit_no_input_are_refused(pe, items):
    with pytest.raises(InputError):
        feed(pe, items)


def test_write_outside_a_run_names_feed():
    with pytest.raises(RuntimeError, match=r"feed\(pe, items\)"):
        Mean().write("output", 1)


def test_help_shows_what_an_author_calls_and_overrides():
    text = pydoc.plain(pydoc.render_doc(IterativePE))

    for name in ("add_input(", "add_output(", "_process(data)", "_process_batch(items)", "write("):
        assert name in text


def test_public_names_declare_what_the_old_ones_do():
    public, old = GenericPE(), GenericPE()
    public.add_input("a", [0], ["word"], optional=True, ordered=True)
    public.add_output("b", ["word"])
    old._add_input("a", [0], ["word"], optional=True, ordered=True)
    old._add_output("b", ["word"])

    assert public.inputconnections == old.inputconnections
    assert public.outputconnections == old.outputconnections

    composite, inner = CompositePE(), IterativePE()
    composite.add(inner)
    composite.map_input("in", inner, "input")
    composite.map_output("out", inner, "output")
    assert composite.inputmappings == {"in": (inner, "input")}
    assert composite.outputmappings == {"out": (inner, "output")}


def test_the_version_is_that_of_the_distribution():
    assert dispel4py.__version__ == version("d4py-core")
    with pytest.raises(AttributeError, match="no attribute 'version'"):
        dispel4py.version  # noqa: B018
