"""Arenas: blocks never overlap, come back whole, and vanish with their processes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from d4py_fixed.shared_memory import arena as arena_module
from d4py_fixed.shared_memory.arena import ARENA_BYTES, Arena, ArenaFile


@pytest.fixture
def small() -> Iterator[int]:
    """Bytes of an arena that is soon full."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arena_module, "ARENA_BYTES", 4 << 20)
        patch.setattr(arena_module, "_STEP_BYTES", 1 << 18)
        yield arena_module.ARENA_BYTES


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # the same for all examples
)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 300_000)), max_size=60))
def test_blocks_keep_their_bytes_until_they_are_released(
    small: int, steps: list[tuple[bool, int]]
) -> None:
    file = ArenaFile()
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
    assert arena.put(memoryview(bytes(small))) == 0
    file.close()


def test_a_full_arena_says_so() -> None:
    file = ArenaFile()
    arena = Arena(file)
    assert arena.put(memoryview(bytes(ARENA_BYTES - 64))) == 0
    assert arena.put(memoryview(bytes(65))) is None
    assert arena.put(memoryview(bytes(64))) is not None
    file.close()


def test_memory_that_the_system_refuses_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, offset: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arena_module, "_reserve", refuse)
    file = ArenaFile()
    assert Arena(file).put(memoryview(bytes(100))) is None
    file.close()


def test_an_arena_has_no_name_to_be_left_behind() -> None:
    file = ArenaFile()
    assert os.fstat(file.fd).st_nlink == 0
    file.close()
