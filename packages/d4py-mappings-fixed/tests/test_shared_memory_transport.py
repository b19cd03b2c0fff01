"""`SharedMemoryTransport`: large buffers arrive whole, writable, and private to the receiver."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from d4py_fixed.engine.frames import Items, from_parts, to_parts
from d4py_fixed.local.socket_transport import SocketTransport
from d4py_fixed.shared_memory.arena import Arena
from d4py_fixed.shared_memory.transport import SharedMemory, SharedMemoryTransport
from dispel4py.shared_memory.arena_file import ArenaFile
from dispel4py.shared_memory.limits import SharedMemoryLimits


class Pair:
    """Two ranks, each with an arena, and what their sockets carried."""

    def __init__(self, limits: SharedMemoryLimits = SharedMemoryLimits()) -> None:
        self.files = [ArenaFile(limits), ArenaFile(limits)]
        ends = socket.socketpair()
        self.inner = [SocketTransport({1: ends[0]}), SocketTransport({0: ends[1]})]
        self.ranks = [
            SharedMemoryTransport(
                inner, SharedMemory(Arena(self.files[i]), dict(enumerate(self.files)))
            )
            for i, inner in enumerate(self.inner)
        ]

    def close(self) -> None:
        for transport in self.ranks:
            transport.close()
        for file in self.files:
            file.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


def test_large_parts_arrive_as_they_were_and_can_be_written_to(pair: Pair) -> None:
    large = bytes(range(256)) * 4096
    pair.ranks[0].send(1, [b"head", large, b"", b"tail"])
    arrived = pair.ranks[1].receive(5.0)
    assert arrived is not None
    rank, parts = arrived
    assert rank == 0
    assert [bytes(part) for part in parts] == [b"head", large, b"", b"tail"]
    parts[1][0] = 7  # type: ignore[index]


def test_a_block_is_reused_once_its_receiver_has_released_it(pair: Pair) -> None:
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
def test_arrays_are_borrowed_and_anything_else_is_copied(pair: Pair, kind: str) -> None:
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
def test_m2_a_table_stays_in_its_block_until_nothing_refers_to_it(pair: Pair, library: str) -> None:
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


def test_a_rank_that_cannot_map_an_arena_reads_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
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
    pair = Pair(SharedMemoryLimits(arena_bytes=1 << 16))
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
