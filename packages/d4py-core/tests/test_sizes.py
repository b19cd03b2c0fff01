"""C6: how large items are is measured, and batches are cut by it."""

import pickle
from itertools import pairwise

import pytest

from dispel4py import ConsumerPE, GenericPE, IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.engine.input_reader import InputReader, is_in_memory
from dispel4py.engine.items.copying import copy_item, counting, share_item
from dispel4py.engine.items.sizes import ByteCounter, estimate_bytes, size_of
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.planning.plan import make_plan

MIB = 1 << 20
#: Items of 1 MiB that may be somewhere between two PEs: one in 32 is measured where they are cheap
#: to copy, and then a batch is cut.
FEW = 32 + EngineLimits().max_batch_bytes // MIB


class Hides:
    """Says that it is small, and holds bytes out of sight."""

    __slots__ = ("_held",)
    nbytes = 8

    def __init__(self, held):
        self._held = held

    def __sizeof__(self):
        return 64


class Reduced:
    """As a library's object in C: what it holds is seen in its pickle alone."""

    def __init__(self, size):
        self.__class__.sizes[id(self)] = size

    sizes: dict = {}  # noqa: RUF012

    def __reduce__(self):
        return Reduced.made, (bytes(self.sizes[id(self)]),)

    @classmethod
    def made(cls, data):
        return cls(len(data))


def local_class():
    class Local:  # no pickle finds it
        def __init__(self, held):
            self.held = held

    return Local(bytearray(MIB))


def in_a_closure():
    held = bytearray(MIB)
    return lambda: held


LARGE = {
    "text": lambda: "x" * MIB,
    "bytes": lambda: bytes(MIB),
    "a flat dict": lambda: {"a": 1, "b": "x" * MIB},
    "a flat tuple": lambda: ("a", bytes(MIB)),
    "deep": lambda: [[{"a": [{"b": ([bytearray(MIB)],)}]}]],
    "hidden": lambda: Hides([Hides([Hides(bytearray(MIB))])]),
    "in C": lambda: Reduced(MIB),
    "a local class": local_class,
    "a closure": in_a_closure,
    "a last one of many": lambda: [*[[0]] * 100, [bytes(MIB)]],
}


@pytest.fixture(params=LARGE)
def make_large(request):
    return LARGE[request.param]


def test_c6_all_that_an_item_holds_is_measured(make_large):
    assert MIB <= size_of(make_large()) < 2 * MIB


def test_c6_a_copied_item_is_counted(make_large):
    item, counter = make_large(), ByteCounter()
    copy_item(item, counter)
    if type(item) not in (str, bytes):  # nothing is copied of these, and whoever sees them counts
        assert MIB <= counter.bytes < 2 * MIB


@pytest.mark.parametrize("copier", [share_item, counting(lambda item: item)])
def test_c6_so_is_a_shared_one(make_large, copier):
    counter = ByteCounter()
    copier(make_large(), counter)
    assert MIB <= counter.bytes < 2 * MIB


def test_c6_arrays_are_counted_as_they_lie():
    numpy = pytest.importorskip("numpy")
    item, counter = numpy.zeros(MIB // 8), ByteCounter()
    copy_item(item, counter)
    share_item(item, counter)
    copy_item(Hides([item]), counter)
    assert 3 * MIB <= counter.bytes < 3 * MIB + 2000
    assert size_of([item]) < MIB + 2000


@pytest.mark.parametrize("sizes", [(0, MIB, 0, MIB), (MIB, 0, MIB, 0)])
def test_c6_so_are_those_in_items_that_are_not_copied(sizes):
    numpy = pytest.importorskip("numpy")
    counter = ByteCounter()
    for size in sizes:
        counter.add({"name": "LUGO", "data": numpy.zeros(size, "u1")}, size)
    assert 2 * MIB <= counter.bytes < 2.01 * MIB


def test_c6_a_long_item_of_unlike_parts_is_as_large_as_these():
    text = "acgt" * 200_000
    records = [{"a": number * 1000, "b": number / 7} for number in range(30_000)]
    parts = size_of([text]) + size_of(records)
    for item in [text, records], [records, text], [records[:15_000], text, records[15_000:]]:
        assert size_of(item) == pytest.approx(parts, rel=0.15)


@pytest.mark.parametrize("count", [16, 32, 64, 100])
def test_c6_a_long_item_of_equal_parts_is_as_large_as_these(count):
    """Wherever samples are taken, they are not all of the texts with which the parts begin."""
    records = [{"a": number * 1000, "b": number / 7} for number in range(500)]
    parts = [["acgt" * 1500, pickle.loads(pickle.dumps(records))] for _ in range(count)]
    assert size_of(parts) == pytest.approx(sum(map(size_of, parts)), rel=0.15)


def test_c6_records_at_the_end_of_a_long_text_are_counted():
    text, records = "acgt" * 1_000_000, [{"a": n * 1000, "b": n / 7} for n in range(8000)]
    parts = size_of([text]) + size_of(records)
    assert size_of([text, records]) == pytest.approx(parts, rel=0.15)


@pytest.mark.parametrize(
    "make",
    [
        lambda: [{"a": number * 1000, "b": number / 7, "c": str(number)} for number in range(2000)],
        lambda: {"waves": [number / 7 for number in range(20_000)]},
        lambda: [[f"word {number}"] for number in range(10_000)],
        lambda: [{number, number + 1} for number in range(10_000)],
    ],
    ids=["records", "numbers", "words", "sets"],
)
def test_c6_many_small_objects_take_more_than_their_pickle(make):
    tracemalloc = pytest.importorskip("tracemalloc")
    data = pickle.dumps(make())
    tracemalloc.start()
    try:
        item = pickle.loads(data)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / 2 < size_of(item) < 3 * taken


def test_c6_an_item_that_cannot_be_measured_is_no_error():
    class Refuses:
        def __reduce__(self):
            raise OSError("no")

    assert size_of(Refuses()) < 1000
    assert size_of([bytes(MIB), Refuses()]) >= MIB


def test_c6_small_items_are_small():
    assert size_of(1) == size_of(None) == size_of(1.5) < 64
    assert size_of(("word", 1)) < 200
    assert estimate_bytes([]) == 0
    assert estimate_bytes([1] * 1000) == 1000 * size_of(1)


def test_c6_a_change_of_size_is_seen_before_long():
    counter = ByteCounter()
    for number in range(100):
        copy_item((number,), counter)
    assert counter.bytes < MIB
    for _ in range(40):
        copy_item(("x" * MIB,), counter)
    assert counter.bytes > MIB


class Flow:
    """What has been made and not been used yet, at the most; it has no copy, so PEs share it."""

    def __init__(self):
        self.now = self.most = self.used = 0

    def __reduce__(self):
        raise TypeError("a flow has no copy")

    def made(self):
        self.now += 1
        self.most = max(self.most, self.now)

    def use(self, item):
        if not isinstance(item, int):
            self.now -= 1
            self.used += 1


class Makes(ProducerPE):
    """Small items first, then large ones."""

    def __init__(self, small, make, flow):
        super().__init__()
        self.small, self.make, self.flow, self.number = small, make, flow, 0

    def _process(self, inputs):
        self.number += 1
        if self.number <= self.small:
            return self.number
        self.flow.made()
        return self.make()


class MakesByProcess(Makes):
    """The same as a plain PE."""

    def process(self, inputs):
        return {"output": self._process(inputs)}


class WritesAll(ProducerPE):
    """The same in one call."""

    def __init__(self, make, flow, count):
        super().__init__()
        self.make, self.flow, self.count = make, flow, count

    def _process(self, inputs):
        for _ in range(self.count):
            self.flow.made()
            self.write("output", self.make())


class Uses(ConsumerPE):
    def __init__(self, flow):
        super().__init__()
        self.flow = flow

    def _process(self, data):
        self.flow.use(data)


class Same(IterativePE):
    def _process(self, data):
        return data


def chain(*pes):
    graph = WorkflowGraph()
    for source, destination in pairwise(pes):
        graph.connect(source, "output", destination, "input")
    return graph


@pytest.mark.parametrize("share_items", [False, True])
@pytest.mark.parametrize("small", [0, 5_000])
@pytest.mark.parametrize("kind", [Makes, MakesByProcess])
def test_c6_a_batch_that_was_planned_for_small_items_is_cut(make_large, kind, small, share_items):
    flow = Flow()
    graph = chain(kind(small, make_large, flow), Same(), Uses(flow))
    run(graph, inputs=small + 100, share_items=share_items)
    assert flow.used == 100
    assert flow.most <= FEW


def test_c6_so_is_what_one_call_writes(make_large):
    flow = Flow()
    run(chain(WritesAll(make_large, flow, 100), Same(), Uses(flow)), inputs=1)
    assert flow.used == 100
    assert flow.most <= FEW


def test_c6_so_it_is_where_several_instances_take_turns():
    flow = Flow()
    middle = Same()
    middle.numprocesses = 3
    make = LARGE["hidden"]
    run(chain(Makes(5_000, make, flow), middle, Uses(flow)), inputs=5_100)
    assert flow.used == 100
    assert flow.most <= FEW


class MakesRecords(ProducerPE):
    """Records with arrays, of which one in 32 is large."""

    def __init__(self, make, flow, offset):
        super().__init__()
        self.make, self.flow, self.offset, self.number = make, flow, offset, 0

    def _process(self, inputs):
        self.number += 1
        is_large = self.number > 5_000 and self.number % 32 == self.offset
        if is_large:
            self.flow.made()
        return {"name": "LUGO", "data": [self.make(MIB if is_large else 1)]}


class UsesRecords(Uses):
    def _process(self, data):
        if len(data["data"][0]) == MIB:
            self.flow.use(data)


@pytest.mark.parametrize("offset", [3, 19])  # one in 32 is measured, which is at most one of these
def test_c6_so_it_is_for_arrays_in_items_that_are_not_copied(offset):
    flow, zeros = Flow(), pytest.importorskip("numpy").zeros
    pe = MakesRecords(lambda size: zeros(size, "u1"), flow, offset)
    run(chain(pe, Same(), UsesRecords(flow)), inputs=5_000 + 32 * 100)
    assert flow.used == 100
    assert flow.most <= EngineLimits().max_batch_bytes // MIB + 1  # each of them is counted


@pytest.mark.parametrize("small", [0, 5_000])
def test_c6_large_inputs_are_read_as_they_are_used(make_large, small):
    flow = Flow()

    def rows():
        for number in range(small):
            yield {"input": number}
        for _ in range(100):
            flow.made()
            yield {"input": make_large()}

    run(chain(Same(), Uses(flow)), inputs=rows())
    assert flow.used == 100
    assert flow.most <= FEW


class Asks(GenericPE):
    def __init__(self):
        super().__init__()
        self._add_input("input")


@pytest.mark.parametrize("small", [0, 200])
def test_c6_a_reader_reads_large_inputs_little_ahead(make_large, small):
    graph = WorkflowGraph()
    graph.add(Asks())
    (root,) = make_plan(graph).pes
    made = []

    def rows():
        for number in range(small):
            yield {"input": number}
        for number in range(100):
            made.append(number)
            yield {"input": make_large()}

    reader = InputReader(root, rows())
    reader.start()
    taken = 0
    try:
        while not reader.ended:
            taken += len(reader.take(10.0))
            ahead = len(made) - max(0, taken - small)
            assert ahead <= FEW
    finally:
        reader.stop()
    assert taken == small + 100


def test_c6_inputs_are_in_memory_only_if_they_are_small(make_large):
    assert is_in_memory([{"input": number} for number in range(1000)])
    assert not is_in_memory(
        [*({"input": number} for number in range(1000)), {"input": make_large()}]
    )
