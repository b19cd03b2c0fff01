"""Rule I6: what counts as state that a PE does not declare, and its message."""

import functools
import logging
import random
import threading
import zipfile
from collections import Counter, defaultdict, deque
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO, StringIO
from itertools import pairwise
from typing import ClassVar

import pytest

from dispel4py import ConsumerPE, GenericPE, IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.checks.undeclared_state import StateWatch
from dispel4py.engine.planning.plan import make_plan
from dispel4py.errors import UndeclaredStateError
from dispel4py.new.aggregate import SumPE, parallel_avg, parallel_count, parallel_std_dev
from dispel4py.new.monitoring import ProcessTimingPE
from dispel4py.result import RunOptions, RunStats


class Count(ProducerPE):
    def __init__(self):
        super().__init__()
        self.number = 0

    def _process(self, inputs):
        self.number += 1
        return self.number


class Keep(IterativePE):
    """Does something with what it keeps, once per item."""

    def __init__(self, change, kept=None, *, names=()):
        super().__init__()
        self.change, self.kept, self.ignored_state = change, kept, names

    def _process(self, data):
        self.change(self, data)
        return data


def chain(*pes):
    graph = WorkflowGraph()
    graph.add(pes[0])
    for source, destination in pairwise(pes):
        graph.connect(source, "output", destination, "input")
    return graph


def changed(*pes, calls=20, **options):
    stats = run(chain(Count(), *pes), inputs=calls, **options).stats
    return {entry.pe_id: entry.changed for entry in stats.instances if entry.changed}


def setter(value_of):
    """A change that gives the attribute a new value."""

    def change(pe, data):
        pe.kept = value_of(pe.kept, data)

    return change


class Unpicklable:
    """Cannot be pickled or copied, and keeps nothing."""

    def __deepcopy__(self, memo):
        return self

    def __reduce_ex__(self, protocol):
        raise TypeError("not to be pickled")


class Cache:
    """Finds something out when it is first asked, and knows it from then on."""

    found = None

    def ask(self):
        self.found = 42


class Angle:
    """Is equal to another of its value, whatever it has worked out so far."""

    def __init__(self):
        self.degrees, self.known = 30.0, {}

    def __eq__(self, other):
        return self.degrees == other.degrees

    __hash__ = None


class Spread:
    """Gathers what it is given."""

    def __init__(self):
        self.count = 0

    def add(self, data):
        self.count += 1


class Node:
    """Knows itself, so that comparing two of a kind has no end."""

    def __init__(self):
        self.me = self
        self.values = []

    def __eq__(self, other):
        return self.me == other.me

    __hash__ = None


STATE = {
    "a number": (0, setter(lambda kept, data: kept + 1)),
    "a sum of floats": (0.0, setter(lambda kept, data: kept + data)),
    "the last item": (None, setter(lambda kept, data: data)),
    "a flag": (True, setter(lambda kept, data: False)),
    "a text": ("", setter(lambda kept, data: kept + "x")),
    "a list": ([], lambda pe, data: pe.kept.append(data)),
    "a set": (set(), lambda pe, data: pe.kept.add(data)),
    "a dict": ({}, lambda pe, data: pe.kept.update({data: 1})),
    "a list in a dict": ({"all": []}, lambda pe, data: pe.kept["all"].append(data)),
    "a deque": (deque(maxlen=3), lambda pe, data: pe.kept.append(data)),
    "a counter": (Counter(), lambda pe, data: pe.kept.update([data % 3])),
    "a dict that a function fills": (
        defaultdict(lambda: 0),
        lambda pe, data: pe.kept.__setitem__(data, 1),
    ),
    "an object": (Spread(), lambda pe, data: pe.kept.add(data)),
    "an object among what cannot be pickled": (
        [Unpicklable(), Spread()],
        lambda pe, data: pe.kept[1].add(data),
    ),
    "a text in memory": (StringIO(), lambda pe, data: pe.kept.write("x")),
    "a file in memory": (BytesIO(), lambda pe, data: pe.kept.write(b"x")),
    "a generator": (random.Random(1), lambda pe, data: pe.kept.random()),
    "a large text": ("x" * (8 << 20), setter(lambda kept, data: kept + "x")),
    "a large list": ([0] * 3_000_000, lambda pe, data: pe.kept.append(data)),
    "many objects": ([Spread() for _ in range(20_000)], lambda pe, data: pe.kept.append(data)),
    "an object that is like any other": (Node(), lambda pe, data: pe.kept.values.append(data)),
}


@pytest.mark.parametrize("what", STATE)
def test_i6_state_is_noticed(what):
    kept, change = STATE[what]
    assert changed(Keep(change, kept)) == {"Keep1": ("kept",)}


class KeepsInASlot(Keep):
    __slots__ = ("total",)

    def __init__(self):
        super().__init__(lambda pe, data: setattr(pe, "total", pe.total + data))
        self.total = 0


def test_i6_state_in_a_slot_is_noticed():
    assert changed(KeepsInASlot()) == {"KeepsInASlot1": ("total",)}


HARMLESS = {
    "nothing": (None, lambda pe, data: None),
    "a lazy set-up": (None, setter(lambda kept, data: kept or object())),
    "a lazy list": (None, setter(lambda kept, data: kept or [1, 2, 3])),
    "the same again": ([1.5, "x"], setter(lambda kept, data: [1.5, "x"])),
    "not a number": (float("nan"), setter(lambda kept, data: float("nan"))),
    "a set in another order": ({1, 9}, setter(lambda kept, data: {9, 1} if data % 2 else {1, 9})),
    "a buffer that is emptied": ([], lambda pe, data: (pe.kept.append(data), pe.kept.clear())),
    "a file in memory that is emptied": (
        StringIO(),
        lambda pe, data: (pe.kept.write("x"), pe.kept.seek(0), pe.kept.truncate()),
    ),
    "an object that finds something out": (Cache(), lambda pe, data: pe.kept.ask()),
    "an object that is equal to what it was": (
        Angle(),
        lambda pe, data: pe.kept.known.update({data: pe.kept.degrees * data}),
    ),
    "what cannot be pickled": (Unpicklable(), lambda pe, data: None),
    "a function": (len, lambda pe, data: None),
}


@pytest.mark.parametrize("what", HARMLESS)
def test_i6_what_ends_as_it_began_or_is_only_set_up_is_left_alone(what):
    kept, change = HARMLESS[what]
    assert changed(Keep(change, kept), strict=True) == {}


def test_i6_an_attribute_that_is_set_in_a_call_and_changes_later_is_state():
    def change(pe, data):
        pe.made = getattr(pe, "made", 0) + 1

    assert changed(Keep(change)) == {"Keep1": ("made",)}


def test_i6_two_calls_are_enough():
    assert changed(Keep(setter(lambda kept, data: data)), calls=2) == {"Keep1": ("kept",)}


def test_i6_a_change_long_after_the_first_calls_is_noticed_before_the_end():
    late = setter(lambda kept, data: [*kept, data] if data == 4_999 else kept)
    assert changed(Keep(late, []), calls=5_000) == {"Keep1": ("kept",)}


@pytest.mark.parametrize("names", [["kept"], ("other", "kept"), {"kept"}, "kept"])
def test_i6_names_in_ignored_state_may_change(names):
    counts = setter(lambda kept, data: kept + 1)
    assert changed(Keep(counts, 0, names=names), strict=True) == {}


def test_i6_a_cached_property_may_be_filled():
    class Lazy(IterativePE):
        @functools.cached_property
        def offset(self):
            return 1

        def _process(self, data):
            return data + self.offset

    assert changed(Lazy(), strict=True) == {}


@pytest.mark.parametrize("how", ["stateful", "single", "grouping", "root"])
def test_i6_a_pe_that_declares_state_may_change_attributes(how):
    pe = Keep(setter(lambda kept, data: data))
    if how == "grouping":
        pe._add_input("input", grouping="global")
    elif how != "root":
        setattr(pe, how, True)
    assert changed(*([] if how == "root" else [pe]), strict=True) == {}


def test_i6_a_root_whose_calls_are_independent_is_watched():
    root = Count()
    root.independent_calls = True
    stats = run(chain(root, IterativePE()), inputs=5).stats
    assert stats.instances[0].changed == ("number",)


def test_i6_changes_inside_numpy_arrays_are_detected():
    numpy = pytest.importorskip("numpy")

    def add(pe, data):
        pe.kept += data

    assert changed(Keep(add, numpy.zeros(10))) == {"Keep1": ("kept",)}
    assert changed(Keep(add, numpy.zeros(2_000_000))) == {"Keep1": ("kept",)}
    assert changed(Keep(lambda pe, data: pe.kept.sum(), numpy.ones(2_000_000)), strict=True) == {}
    longer = setter(lambda kept, data: numpy.append(kept, 0.0))
    assert changed(Keep(longer, numpy.zeros(1))) == {"Keep1": ("kept",)}


def test_i6_a_large_array_is_only_sampled():
    numpy = pytest.importorskip("numpy")
    pe = Keep(None, numpy.zeros(25_000_000))

    watch = StateWatch(pe)
    (note,) = [note for name, note in watch._noted.items() if name == "kept"]
    assert note.value is pe.kept
    assert len(note.data) < 1000


def test_i6_changes_of_a_wrapped_pe_are_detected():
    timed = ProcessTimingPE(Keep(setter(lambda kept, data: data)))
    assert changed(timed) == {"Keep1": ("baseObject",)}
    assert changed(ProcessTimingPE(IterativePE()), strict=True) == {}


def test_i6_locks_and_files_are_known_by_identity(tmp_path):
    class Opens(ConsumerPE):
        def _preprocess(self):
            self.file, self.lock = (tmp_path / "log").open("w"), threading.Lock()

        def _process(self, data):
            with self.lock:
                self.file.write(str(data))

        def _postprocess(self):
            self.file.close()

    assert changed(Opens(), strict=True) == {}
    assert (tmp_path / "log").read_text() == "12345678910" + "".join(map(str, range(11, 21)))


def test_i6_a_pool_of_threads_may_be_used():
    class Pool(IterativePE):
        def _preprocess(self):
            self.pools = [ThreadPoolExecutor(1)]

        def _process(self, data):
            return self.pools[0].submit(abs, data).result()

        def _postprocess(self):
            self.pools[0].shutdown()

    assert changed(Pool(), strict=True) == {}


def test_i6_parallel_aggregates_declare_their_state():
    class Rows(ProducerPE):
        def _process(self, inputs):
            return [2.0]

    for aggregate in (parallel_avg(), parallel_count(), parallel_std_dev()):
        result = run(chain(Rows(), aggregate), inputs=10, strict=True)
        assert [entry.changed for entry in result.stats.instances] == [()] * 3


def test_i6_a_sum_that_nothing_merges_is_state():
    class Rows(ProducerPE):
        def _process(self, inputs):
            return [2]

    sums = SumPE()
    sums.numprocesses = 2
    stats = run(chain(Rows(), sums), inputs=4).stats
    assert {entry.changed for entry in stats.instances} == {(), ("value",)}


class TestStateInAClass:
    @pytest.fixture
    def shared(self):
        """A class of PEs whose calls append to a list of the class."""

        class Shared(Keep):
            seen: ClassVar = []
            limit = 3

        return Shared

    @pytest.mark.parametrize("declared", [False, True])
    def test_i6_a_change_is_noticed_whether_or_not_the_pe_declares_state(self, shared, declared):
        pe = shared(lambda pe, data: pe.seen.append(data))
        pe.stateful = declared
        assert changed(pe) == {"Shared1": ("Shared.seen",)}

    def test_i6_a_number_that_is_set_in_the_class_is_noticed(self, shared):
        pe = shared(lambda pe, data: setattr(shared, "limit", data))
        assert changed(pe) == {"Shared1": ("Shared.limit",)}

    def test_i6_a_default_in_the_class_may_be_hidden_by_an_attribute(self, shared):
        pe = shared(lambda pe, data: setattr(pe, "limit", pe.limit + 1))
        pe.stateful = True
        assert not changed(pe)

    def test_i6_what_stays_as_it_is_and_what_is_ignored_are_left_alone(self, shared):
        assert not changed(shared(lambda pe, data: pe.seen.copy()))
        assert not changed(shared(lambda pe, data: pe.seen.append(data), names="seen"))

    def test_i6_the_message_says_where_to_make_it(self, shared):
        with pytest.raises(UndeclaredStateError, match=r"__init__ \(self\.seen = …\)"):
            changed(shared(lambda pe, data: pe.seen.append(data)), strict=True)


class TestWhatIsSaid:
    def test_i6_a_warning_per_pe_and_run(self, caplog):
        pes = [Keep(setter(lambda kept, data: data)) for _ in range(2)]
        pes[0].numprocesses = 3
        for _ in range(2):
            caplog.clear()
            changed(*pes)
            said = [record.getMessage() for record in caplog.records]
            assert [message.partition(" ")[0] for message in said] == ["Keep1", "Keep2"]
            assert {record.levelno for record in caplog.records} == {logging.WARNING}

    def test_i6_the_message_says_what_to_write(self):
        with pytest.raises(UndeclaredStateError) as caught:
            changed(Keep(setter(lambda kept, data: data), 1), strict=True)
        assert str(caught.value) == (
            "Keep1 changed its attribute 'kept' but does not say that it keeps state: results may"
            " differ with the mapping and the number of processes; set `stateful = True` (or"
            " `single = True`, or a grouping on its input) in the class, or name it in"
            " `ignored_state` if results do not depend on it"
        )
        assert (caught.value.pe_id, caught.value.attributes) == ("Keep1", ("kept",))

    def test_i6_undeclared_state_is_logged_during_the_run(self, caplog):
        told = []

        def look(stats: RunStats):
            told.append(len(caplog.records))

        slow = Keep(lambda pe, data: threading.Event().wait(0.05) or setattr(pe, "kept", data), 0)
        changed(slow, calls=10, on_progress=look)
        assert told[-1] == 1

    @pytest.mark.parametrize("on_error", ["stop", "skip"])
    def test_i6_strict_is_not_to_be_skipped(self, on_error):
        with pytest.raises(UndeclaredStateError):
            changed(Keep(setter(lambda kept, data: data), 0), strict=True, on_error=on_error)

    def test_i6_strict_ends_a_run_in_the_middle_of_a_senders_call(self):
        class Many(GenericPE):
            def __init__(self):
                super().__init__()
                self._add_output("output")

            def process(self, inputs):
                for number in range(100_000):
                    self.write("output", number)

        with pytest.raises(UndeclaredStateError, match="Keep1"):
            run(chain(Many(), Keep(setter(lambda kept, data: data), 0)), strict=True)

    def test_the_plan_carries_it(self):
        graph = chain(Count(), IterativePE())
        assert make_plan(graph, RunOptions(strict=True)).strict
        assert not make_plan(graph).strict


def test_i6_a_look_leaves_files_open_that_an_object_holds(tmp_path):
    """A copy of a ZIP archive would close the file of the archive itself when it goes."""

    class Zips(ConsumerPE):
        def _preprocess(self):
            self.archive = zipfile.ZipFile(tmp_path / "out.zip", "w")

        def _process(self, data):
            self.archive.writestr(f"{data}.txt", str(data))

        def _postprocess(self):
            self.archive.close()

    assert changed(Zips(), calls=50) == {}
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert len(archive.namelist()) == 50
