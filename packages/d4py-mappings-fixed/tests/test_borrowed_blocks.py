"""`BorrowedBlocks`: arrays use blocks without a copy, and release them when they are garbage."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import weakref
from threading import Thread
from typing import Any

import pytest

from d4py_conformance.waiting import LIMIT
from d4py_fixed.shared_memory.borrowed_blocks import BorrowedBlocks
from dispel4py.engine.items.copying import copy_item
from dispel4py.engine.items.sizes import ByteCounter
from dispel4py.engine.items.unreachable_items import copy_if_reachable

SIZE = 1 << 16
LENDER = 3


@pytest.fixture
def memory() -> mmap.mmap:
    return mmap.mmap(-1, 4 * SIZE)


def test_a_block_is_used_without_a_copy_and_released_by_its_last_user(
    memory: mmap.mmap,
) -> None:
    blocks = BorrowedBlocks(memory, 4 * SIZE, 0)
    view = blocks.borrow(LENDER, SIZE, 1000)
    assert len(view) == 1000
    part = view[10:20]
    part[0] = 7
    assert memory[SIZE + 10] == 7
    del view
    assert blocks.take_released(LENDER) == []
    del part
    assert blocks.take_released(LENDER) == [SIZE]
    assert blocks.take_released(LENDER) == []


def test_a_block_at_the_very_end_of_the_memory_is_copied(memory: mmap.mmap) -> None:
    blocks = BorrowedBlocks(memory, 4 * SIZE, 0)
    view = blocks.borrow(LENDER, 3 * SIZE + 1, SIZE - 1)
    assert blocks.take_released(LENDER) == [3 * SIZE + 1]
    view[-1] = 9
    assert memory[-1] == 0


def test_c6_blocks_beyond_a_bound_are_copied(memory: mmap.mmap) -> None:
    blocks = BorrowedBlocks(memory, 2 * SIZE, 0)
    kept = [blocks.borrow(LENDER, 0, SIZE), blocks.borrow(LENDER, SIZE, SIZE)]
    copy = blocks.borrow(LENDER, 2 * SIZE, SIZE)
    assert blocks.take_released(LENDER) == [2 * SIZE]
    copy[0] = 5
    assert memory[2 * SIZE] == 0
    kept.pop()
    assert blocks.take_released(LENDER) == [SIZE]
    blocks.borrow(LENDER, SIZE, SIZE)
    assert blocks.take_released(LENDER) == [SIZE]  # borrowed again, and not kept


def test_m2_an_array_in_a_borrowed_block_is_sent_on_without_a_copy(
    memory: mmap.mmap,
) -> None:
    numpy = pytest.importorskip("numpy")
    blocks = BorrowedBlocks(memory, 4 * SIZE, 0)
    array = numpy.frombuffer(blocks.borrow(LENDER, 0, SIZE), dtype="u1").reshape(2, -1)
    assert copy_if_reachable(array, None, copy_item, ByteCounter()) is array
    other = array.base
    assert copy_if_reachable(array, None, copy_item, ByteCounter()) is not array
    del other
    assert copy_if_reachable(array, None, copy_item, ByteCounter()) is array
    part = array.base.base[10:20]
    assert copy_if_reachable(array, None, copy_item, ByteCounter()) is not array
    del part
    weak = weakref.ref(array.base.base.obj)
    assert weak() is not None
    assert copy_if_reachable(array, None, copy_item, ByteCounter()) is not array


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_m2_a_forked_process_has_private_copies_of_borrowed_blocks(memory: mmap.mmap) -> None:
    blocks = BorrowedBlocks(memory, 4 * SIZE, 0)
    view = blocks.borrow(LENDER, SIZE, SIZE)
    view[:2] = b"ab"
    fork = multiprocessing.get_context("fork")
    parent_end, child_end = fork.Pipe()

    def child() -> None:
        view[0:1] = b"X"
        child_end.recv()  # by then the sender has reused the block
        child_end.send(bytes(view[:2]))

    process = fork.Process(target=child)
    process.start()
    try:
        memory[SIZE : SIZE + 2] = b"cd"
        parent_end.send("go on")
        assert parent_end.poll(LIMIT)
        assert parent_end.recv() == b"Xb"
        assert bytes(view[:2]) == b"cd"
    finally:
        process.kill()
        process.join()


def test_blocks_released_in_another_thread_are_counted(memory: mmap.mmap) -> None:
    blocks = BorrowedBlocks(memory, SIZE, 0)
    kept: list[Any] = [blocks.borrow(LENDER, 0, SIZE)]
    thread = Thread(target=kept.clear)
    thread.start()
    thread.join()
    assert blocks.take_released(LENDER) == [0]
    kept.append(blocks.borrow(LENDER, SIZE, SIZE))
    assert blocks.take_released(LENDER) == []
