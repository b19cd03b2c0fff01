"""`SharedMemoryTransport`: large buffers arrive whole, writable, and private to the receiver."""

from __future__ import annotations

import errno
import os
import socket
import sys
import weakref
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import pairwise
from pickle import PickleBuffer
from typing import Any

import pytest

from d4py_fixed.engine.frames import Items, from_parts, to_parts
from d4py_fixed.local.socket_transport import SocketTransport
from d4py_fixed.shared_memory.arena import Arena
from d4py_fixed.shared_memory.borrowed_blocks import BorrowedBlocks
from d4py_fixed.shared_memory.transport import SharedMemory, SharedMemoryTransport
from dispel4py.engine.execution.pickled_items import pickling_copier
from dispel4py.engine.items.sizes import ByteCounter
from dispel4py.shared_memory.arena_file import ArenaFile
from dispel4py.shared_memory.limits import SharedMemoryLimits

#: Without a global interpreter lock, references are not counted at one moment: all are copied.
needs_counts = pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="this Python has no GIL"
)
needs_numpy = pytest.mark.skipif(not find_spec("numpy"), reason="NumPy is not installed")


class HasBuffer:
    """Keeps large data out of its pickle."""

    def __init__(self, buffer: bytearray) -> None:
        self.buffer = buffer

    def __reduce__(self) -> tuple[Any, ...]:
        return HasBuffer, (PickleBuffer(self.buffer),)


class Ranks:
    """Ranks, each with an arena and a socket to the next one.

    Args:
        count: how many.
        limits: of the arenas.
        opened: see `SharedMemory`.
    """

    def __init__(
        self,
        count: int,
        limits: SharedMemoryLimits = SharedMemoryLimits(),
        opened: dict[int, set[int]] | None = None,
    ) -> None:
        self.files = {rank: ArenaFile(limits) for rank in range(count)}
        self.arenas = {rank: Arena(file) for rank, file in self.files.items()}
        peers: list[dict[int, socket.socket]] = [{} for _ in range(count)]
        for rank, following in pairwise(range(count)):
            peers[rank][following], peers[following][rank] = socket.socketpair()
        self.inner = [SocketTransport(of_rank) for of_rank in peers]
        self.ranks = [
            SharedMemoryTransport(inner, SharedMemory(self.arenas[rank], self.files, opened))
            for rank, inner in enumerate(self.inner)
        ]

    def send(self, sender: int, items: list[Any], receiver: int | None = None) -> None:
        """Send items to a rank, or to the next one."""
        receiver = sender + 1 if receiver is None else receiver
        self.ranks[sender].send(receiver, to_parts(Items(0, 0, "input", items)))

    def receive(self, rank: int) -> list[Any]:
        """Return the items of the next frame."""
        arrived = self.ranks[rank].receive(5.0)
        assert arrived is not None
        frame = from_parts(arrived[1])
        assert isinstance(frame, Items)
        return frame.items

    def report_released(self) -> None:
        """Report what was released, the last rank first."""
        for rank in reversed(self.ranks):
            assert rank.receive(0.0) is None
            assert rank.receive(0.0) is None  # the first may have left what has just arrived

    @property
    def blocks(self) -> list[bool]:
        """For each rank, whether blocks of its arena are in use."""
        return [not arena.is_empty for arena in self.arenas.values()]

    @property
    def borrowed_bytes(self) -> list[int]:
        """For each rank, the size of what it has borrowed."""
        return [
            sum(
                blocks._borrowed_bytes
                for blocks in rank._memory._borrowed.values()
                if isinstance(blocks, BorrowedBlocks)
            )
            for rank in self.ranks
        ]

    def close(self) -> None:
        for transport in self.ranks:
            transport.close()
        for file in self.files.values():
            file.close()


@pytest.fixture
def pair() -> Iterator[Ranks]:
    made = Ranks(2)
    yield made
    made.close()


def test_large_parts_arrive_as_they_were_and_can_be_written_to(pair: Ranks) -> None:
    large = bytes(range(256)) * 4096
    pair.ranks[0].send(1, [b"head", large, b"", b"tail"])
    arrived = pair.ranks[1].receive(5.0)
    assert arrived is not None
    rank, parts = arrived
    assert rank == 0
    assert [bytes(part) for part in parts] == [b"head", large, b"", b"tail"]
    parts[1][0] = 7  # type: ignore[index]


def test_a_block_is_reused_once_its_receiver_has_released_it(pair: Ranks) -> None:
    for number in range(300):  # 300 MiB through an arena of 128 MiB
        pair.ranks[0].send(1, [bytes([number % 256]) * (1 << 20)])
        arrived = pair.ranks[1].receive(5.0)
        assert arrived is not None
        assert bytes(arrived[1][0][:1]) == bytes([number % 256])
        assert (
            pair.ranks[1].receive(0.0) is None
        )  # with no frame to send, it reports the released block
        assert pair.ranks[0].receive(0.0) is None  # which frees the block


@pytest.mark.parametrize("kind", ["array", "Arrow", "bytes"])
def test_arrays_are_borrowed_and_anything_else_is_copied(pair: Ranks, kind: str) -> None:
    large: Any = bytes(800_000)
    if kind == "array":
        large = pytest.importorskip("numpy").arange(100_000)
    elif kind == "Arrow":
        large = pytest.importorskip("pyarrow").array(range(100_000)).buffers()[1]
    pair.ranks[0].send(1, [memoryview(large).cast("B")])
    arrived = pair.ranks[1].receive(5.0)
    assert arrived is not None
    (part,) = arrived[1]
    assert bytes(part) == bytes(large)
    assert type(part) is (bytearray if kind == "bytes" else memoryview)


@pytest.mark.parametrize("library", ["pyarrow", "polars"])
def test_m2_a_table_stays_in_its_block_until_nothing_refers_to_it(
    pair: Ranks, library: str
) -> None:
    table: Any = pytest.importorskip("pyarrow").table({"a": range(100_000)})
    if library == "polars":
        table = pytest.importorskip("polars").from_arrow(table)
    pair.ranks[0].send(1, to_parts(Items(0, 0, "input", [table])))
    arrived = pair.ranks[1].receive(5.0)
    assert arrived is not None
    received = from_parts(arrived[1])
    del arrived
    assert pair.ranks[1].receive(0.0) is None
    assert pair.inner[0].receive(0.0) is None  # nothing was released
    assert isinstance(received, Items)
    assert received.items[0].equals(table)
    del received
    assert pair.ranks[1].receive(0.0) is None
    assert pair.inner[0].receive(0.0) is not None


@pytest.fixture
def three(request: pytest.FixtureRequest) -> Iterator[Ranks]:
    made = Ranks(3, opened=getattr(request, "param", None))
    yield made
    made.close()


#: What a PE may send on of the array that it gets, and that makes no copy.
PARTS: dict[str, Callable[[Any], Any]] = {
    "whole": lambda array: array,
    "most of it": lambda array: array[10_000:],
    "another shape": lambda array: array.reshape(2, -1),
}


@needs_counts
@pytest.mark.parametrize("part", PARTS)
def test_an_array_that_is_sent_on_stays_in_its_block_until_the_last_receiver_releases_it(
    three: Ranks, part: str
) -> None:
    array = pytest.importorskip("numpy").arange(100_000)
    three.send(0, [array])
    three.send(1, [PARTS[part](three.receive(1).pop())])
    (received,) = three.receive(2)
    three.report_released()
    assert (received == PARTS[part](array)).all()
    assert three.blocks == [True, False, False]
    received += 1
    assert (received == PARTS[part](array) + 1).all()
    del received
    three.report_released()
    assert three.blocks == [False, False, False]


def test_a_small_part_of_an_array_that_is_sent_on_does_not_keep_the_block(three: Ranks) -> None:
    array = pytest.importorskip("numpy").arange(100_000)
    three.send(0, [array])
    three.send(1, [three.receive(1).pop()[60_000:]])
    (received,) = three.receive(2)
    three.report_released()
    assert not three.blocks[0]
    assert (received == array[60_000:]).all()


#: What a PE may keep of an array.
KEPT: dict[str, Callable[[Any], Any]] = {
    "the array": lambda array: array,
    "a view": lambda array: array[5:10],
    "its base": lambda array: array.base,
    "its buffer": lambda array: array.base.base[5:10],
    "a weak reference": weakref.ref,
}


@pytest.mark.parametrize("kept", KEPT)
def test_m2_an_array_that_is_sent_on_and_kept_is_copied(three: Ranks, kept: str) -> None:
    array = pytest.importorskip("numpy").arange(100_000)
    three.send(0, [array])
    items = three.receive(1)
    keeps = KEPT[kept](items[0])
    three.send(1, items)
    (received,) = three.receive(2)
    received += 1
    assert (items[0] == array).all()
    del items, keeps, received
    three.report_released()
    assert three.blocks == [False, False, False]


def test_m2_an_array_that_is_sent_to_two_receivers_arrives_twice(three: Ranks) -> None:
    array = pytest.importorskip("numpy").arange(100_000)
    three.send(0, [array])
    batches = [three.receive(1)]
    batches.append(batches[0][:])
    while batches:
        three.send(1, batches.pop())
    (first,), (second,) = three.receive(2), three.receive(2)
    first += 1
    assert (second == array).all()
    second += 2
    assert (first == array + 1).all()
    del first, second
    three.report_released()
    assert three.blocks == [False, False, False]


#: Ways of an array that come by a rank twice; rank 1 has sockets to all others.
RETURNS = {
    "to its owner": [0, 1, 0],
    "to its owner, and on": [0, 1, 0, 1, 0, 1],
    "to a borrower": [0, 1, 2, 1],
    "to a borrower, and on": [0, 1, 2, 1, 2],
    "to a borrower, and to another": [0, 1, 2, 1, 0],
}


@pytest.mark.parametrize("is_cut", [False, True])
@pytest.mark.parametrize("way", RETURNS.values(), ids=RETURNS)
def test_m2_an_array_that_comes_by_a_rank_twice_stays_as_it_is_until_it_is_released(
    three: Ranks, way: list[int], is_cut: bool
) -> None:
    """Several PEs may be on one rank, with others between them on another."""
    numpy = pytest.importorskip("numpy")
    for number in range(3):  # what is left of one may harm the next
        items = [numpy.full(100_000, number)]
        for sender, receiver in pairwise(way):
            three.send(sender, items, receiver)
            items = three.receive(receiver)
            if is_cut and (sender, receiver) == (0, 1):
                items.append(items.pop()[20_000:])
        for _ in way:
            three.report_released()
        three.send(0, [numpy.full(100_000, -1)], 1)  # it would use what was released too early
        assert (items[0] == number).all()
        items.clear()
        three.receive(1)
        for _ in way:
            three.report_released()
        assert three.blocks == [False, False, False]
        assert three.borrowed_bytes == [0, 0, 0]


@pytest.mark.parametrize("three", [{0: {1, 2}, 2: {1}}, {0: {1}, 2: {0, 1}}], indirect=True)
def test_an_array_is_copied_for_a_rank_that_has_not_opened_its_arena(three: Ranks) -> None:
    """On MPI, with a limit on open files for example, two ranks may share no memory."""
    array = pytest.importorskip("numpy").arange(100_000)
    three.send(0, [array])
    three.send(1, three.receive(1))
    received = three.receive(2)
    three.report_released()
    assert three.blocks == [False, True, False]
    assert (received[0] == array).all()


def test_a_rank_that_cannot_map_an_arena_reads_it(
    pair: Ranks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on address space (ulimit -v) is that of each process."""
    numpy = pytest.importorskip("numpy")
    monkeypatch.setattr(ArenaFile, "map", refuse)
    for number in range(200):  # 200 MB through an arena of 128 MiB, so blocks are released
        sent: list[Any] = [
            memoryview(numpy.full(1 << 19, number % 256, "u1")),
            bytes([number % 256]) * 500_000,
        ]
        pair.ranks[0].send(1, sent)
        arrived = pair.ranks[1].receive(5.0)
        assert arrived is not None
        assert [bytes(part) for part in arrived[1]] == [bytes(part) for part in sent]
        arrived[1][0][0] = 7  # type: ignore[index]
        assert pair.ranks[1].receive(0.0) is None
        assert pair.ranks[0].receive(0.0) is None


def refuse(*arguments: Any) -> Any:
    raise OSError(errno.ENOMEM, "Cannot allocate memory")


def test_a_rank_that_cannot_map_its_own_arena_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    file = ArenaFile()
    assert Arena.of(file) is not None
    monkeypatch.setattr(ArenaFile, "map", refuse)
    assert Arena.of(file) is None
    assert Arena.of(None) is None
    monkeypatch.undo()
    file.close()


def test_a_part_without_room_in_the_arena_goes_through_the_socket() -> None:
    pair = Ranks(2, SharedMemoryLimits(arena_bytes=1 << 16))
    large = bytes(100_000)
    pair.ranks[0].send(1, [large])
    arrived = pair.ranks[1].receive(5.0)
    assert arrived is not None
    assert bytes(arrived[1][0]) == large
    pair.close()


@pytest.mark.parametrize("start_method", ["fork", "forkserver", "spawn"])
def test_m2_arrays_are_the_receivers_own_and_stay_valid(
    execute: Any, flows: Any, chain: Any, start_method: str
) -> None:
    pytest.importorskip("numpy")
    graph = chain(flows.Arrays(), flows.AddsInPlace(), flows.KeptArrays())
    # What is kept is more than an arena holds.
    result = execute(graph, 150, 3, start_method=start_method)
    expected = [(n + 0.5, n + 0.5, True) for n in range(1, 151)]
    assert result.outputs["KeptArrays2"]["output"] == expected


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="reads /proc")
def test_c4_the_caller_keeps_no_shared_memory(execute: Any, flows: Any, chain: Any) -> None:
    pytest.importorskip("numpy")

    def arenas() -> set[str]:
        """Return the inodes of the arenas that this process has mapped."""
        with open("/proc/self/maps", encoding="utf-8") as maps:
            return {line.split()[4] for line in maps if "d4py-arena" in line}

    before = arenas()  # of other tests, whose garbage may not have been collected yet
    (array,) = execute(chain(flows.Numbers(), flows.Makes(flows.array_of)), 1).outputs["Makes1"][
        "output"
    ]
    assert array.nbytes > 1 << 20
    assert arenas() <= before


class TestKeptBlocks:
    """Buffers of items that are pickled when they are written."""

    def write(self, pair: Ranks, item: Any) -> Any:
        return pickling_copier(pair.ranks[0].keep, (0, 0))(item, ByteCounter())

    @needs_numpy
    def test_an_array_is_sent_from_where_it_was_copied_to(self, pair: Ranks) -> None:
        import numpy

        array = numpy.arange(100_000)
        written = self.write(pair, array)
        array[:] = 0
        (size,) = pair.arenas[0]._sizes.values()
        assert size == array.nbytes
        pair.send(0, [written])
        del written
        (received,) = pair.receive(1)
        assert list(pair.arenas[0]._sizes) == [0]
        assert received.sum() == 100_000 * 99_999 // 2
        pair.arenas[0].memory[:8] = b"\7" + bytes(7)
        assert received[0] == 7  # it is still there
        del received
        pair.report_released()
        assert pair.blocks == [False, False]

    @needs_numpy
    def test_what_is_no_array_is_copied_by_the_receiver(self, pair: Ranks) -> None:
        pair.send(0, [self.write(pair, HasBuffer(bytearray(1_000_000)))])
        assert pair.blocks == [True, False]
        (received,) = pair.receive(1)
        assert type(received.buffer) is bytearray
        pair.report_released()
        assert pair.blocks == [False, False]

    @needs_numpy
    def test_the_block_of_an_item_that_is_never_sent_is_freed(self, pair: Ranks) -> None:
        import numpy

        written = self.write(pair, numpy.ma.masked_less(numpy.arange(100_000), 7))
        assert pair.blocks == [True, False]
        del written
        assert pair.blocks == [False, False]

    @needs_numpy
    def test_c6_items_for_which_there_is_no_room_are_copied_twice(self) -> None:
        import numpy

        ranks = Ranks(2, SharedMemoryLimits(arena_bytes=1 << 20, step_bytes=1 << 18))
        written = [self.write(ranks, numpy.full(40_000, number)) for number in range(30)]
        assert sum(ranks.arenas[0]._sizes.values()) <= 1 << 20
        for number in range(30):
            ranks.send(0, [written.pop(0)])
            assert ranks.receive(1)[0][0] == number
            ranks.report_released()
        assert ranks.blocks == [False, False]
        ranks.close()

    @needs_numpy
    def test_m5_a_process_that_a_pe_forks_does_not_write_over_blocks(self, pair: Ranks) -> None:
        import numpy

        child = os.fork()
        if child == 0:
            self.write(pair, numpy.full(100_000, 7))
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert not any(pair.arenas[0].memory[:800_000])
