"""`Arena`: blocks never overlap, are joined when they are free, and vanish with their processes."""

from __future__ import annotations

import os
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d4py_fixed.shared_memory.arena import Arena
from dispel4py.shared_memory import arena_file
from dispel4py.shared_memory.arena_file import ArenaFile
from dispel4py.shared_memory.limits import SharedMemoryLimits

SMALL = SharedMemoryLimits(arena_bytes=4 << 20, step_bytes=1 << 18)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 300_000)), max_size=60))
def test_blocks_keep_their_bytes_until_they_are_released(steps: list[tuple[bool, int]]) -> None:
    file = ArenaFile(SMALL)
    arena = Arena(file)
    mapped = memoryview(file.map())
    live: dict[int, bytes] = {}
    for number, (put, size) in enumerate(steps):
        if put:
            data = bytes([number % 251 + 1]) * size
            offset = arena.put(memoryview(data))
            if offset is not None:
                live[offset] = data
        elif live:
            offset = list(live)[size % len(live)]
            assert mapped[offset : offset + len(live[offset])] == live.pop(offset)
            arena.release(offset)
    for offset, data in live.items():
        assert mapped[offset : offset + len(data)] == data
        arena.release(offset)
    # Everything is free again, in one piece: the whole arena can be had at once.
    assert arena.put(memoryview(bytes(SMALL.arena_bytes))) == 0
    file.close()


def test_a_full_arena_refuses_data() -> None:
    file = ArenaFile(SMALL)
    arena = Arena(file)
    assert arena.put(memoryview(bytes(SMALL.arena_bytes - 64))) == 0
    assert arena.put(memoryview(bytes(65))) is None
    assert arena.put(memoryview(bytes(64))) is not None
    file.close()


def test_memory_that_the_system_refuses_is_not_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, offset: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arena_file, "_reserve", refuse)
    file = ArenaFile()
    assert Arena(file).put(memoryview(bytes(100))) is None
    file.close()


@pytest.mark.parametrize(("limit", "is_mapped"), [(1 << 29, False), (1 << 31, True)])
def test_an_arena_takes_no_large_part_of_a_limited_address_space(
    monkeypatch: pytest.MonkeyPatch, limit: int, is_mapped: bool
) -> None:
    monkeypatch.setattr(arena_file, "address_space", lambda: limit)
    file = ArenaFile()
    assert (Arena.of(file) is not None) == is_mapped
    file.close()


def test_c4_an_arena_has_no_name_that_could_be_left_behind() -> None:
    file = ArenaFile()
    assert os.fstat(file.fd).st_nlink == 0
    file.close()


def test_a_finalizer_may_put_data_while_a_block_is_being_allocated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = ArenaFile(SMALL)
    arena = Arena(file)
    reserve, offsets = arena_file._reserve, []

    def interrupted(fd: int, offset: int, size: int) -> None:
        offsets.append(arena.put(memoryview(b"inner")))
        arena.release(first)
        reserve(fd, offset, size)

    first = arena.put(memoryview(b"first"))
    assert first == 0
    monkeypatch.setattr(arena_file, "_reserve", interrupted)
    outer = arena.put(memoryview(bytes(SMALL.step_bytes)))
    assert outer == 64
    assert offsets == [None]
    assert arena.put(memoryview(b"next")) == 0  # the first was freed by the finalizer
    file.close()


def test_threads_never_get_the_same_block() -> None:
    file = ArenaFile(SMALL)
    arena = Arena(file)
    mixed: list[int] = []

    def put_and_check(number: int) -> None:
        data = bytes([number]) * 5000
        for _ in range(500):
            offset = arena.put(memoryview(data))
            if offset is None:
                continue
            if arena.memory[offset : offset + 5000] != data:
                mixed.append(number)
            arena.release(offset)

    threads = [Thread(target=put_and_check, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mixed == []
    assert arena.is_empty
    file.close()
