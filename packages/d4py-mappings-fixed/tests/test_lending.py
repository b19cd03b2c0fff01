"""Blocks that are lent to whatever lies in them: used where they are, and given back in time."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import weakref
from threading import Thread
from typing import Any

import pytest

from d4py_fixed.shared_memory.borrowed_blocks import BorrowedBlocks
from dispel4py.engine.unique_arrays import is_unreachable

SIZE = 1 << 16


@pytest.fixture
def memory() -> mmap.mmap:
    return mmap.mmap(-1, 4 * SIZE)


def test_a_block_is_used_where_it_lies_and_given_back_by_the_last_that_lies_in_it(
    memory: mmap.mmap,
) -> None:
    lender = BorrowedBlocks(memory)
    taken = lender.lend(SIZE, 1000)
    assert len(taken) == 1000
    part = taken[10:20]
    part[0] = 7
    assert memory[SIZE + 10] == 7
    del taken
    assert lender.read() == []
    del part
    assert lender.read() == [SIZE]
    assert lender.read() == []


def test_a_block_at_the_very_end_of_the_memory_is_copied(memory: mmap.mmap) -> None:
    lender = BorrowedBlocks(memory)
    taken = lender.lend(3 * SIZE + 1, SIZE - 1)
    assert lender.read() == [3 * SIZE + 1]
    taken[-1] = 9
    assert memory[-1] == 0


def test_c6_what_is_kept_for_long_is_copied_beyond_a_bound(memory: mmap.mmap) -> None:
    lender = BorrowedBlocks(memory, 2 * SIZE)
    kept = [lender.lend(0, SIZE), lender.lend(SIZE, SIZE)]
    copy = lender.lend(2 * SIZE, SIZE)
    assert lender.read() == [2 * SIZE]
    copy[0] = 5
    assert memory[2 * SIZE] == 0
    kept.pop()
    assert lender.read() == [SIZE]
    lender.lend(SIZE, SIZE)
    assert lender.read() == [SIZE]  # lent again, and nobody has kept it


def test_m2_an_array_computed_from_a_lent_block_is_moved_on_without_a_copy(
    memory: mmap.mmap,
) -> None:
    numpy = pytest.importorskip("numpy")
    lender = BorrowedBlocks(memory)
    array = numpy.frombuffer(lender.lend(0, SIZE), dtype="u1").reshape(2, -1)
    assert is_unreachable(array, None)
    other = array.base
    assert not is_unreachable(array, None)
    del other
    assert is_unreachable(array, None)
    part = array.base.base[10:20]
    assert not is_unreachable(array, None)
    del part
    weak = weakref.ref(array.base.base.obj)
    assert weak() is not None
    assert not is_unreachable(array, None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_m2_a_forked_process_has_its_own_copy_of_what_is_lent(memory: mmap.mmap) -> None:
    lender = BorrowedBlocks(memory)
    taken = lender.lend(SIZE, SIZE)
    taken[:2] = b"ab"
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()

    def child() -> None:
        taken[0:1] = b"X"
        theirs.recv()  # by now the sender has put something else there
        theirs.send(bytes(taken[:2]))

    process = fork.Process(target=child)
    process.start()
    try:
        memory[SIZE : SIZE + 2] = b"cd"
        ours.send("go on")
        assert ours.poll(20)
        assert ours.recv() == b"Xb"
        assert bytes(taken[:2]) == b"cd"
    finally:
        process.kill()
        process.join()


def test_blocks_given_back_by_another_thread_are_counted(memory: mmap.mmap) -> None:
    lender = BorrowedBlocks(memory, SIZE)
    kept: list[Any] = [lender.lend(0, SIZE)]
    thread = Thread(target=kept.clear)
    thread.start()
    thread.join()
    assert lender.read() == [0]
    kept.append(lender.lend(SIZE, SIZE))
    assert lender.read() == []
