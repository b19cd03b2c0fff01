"""The same arrays by hand: by a copy in shared memory per hop, or by queues, also of threads."""

from __future__ import annotations

import mmap
import multiprocessing
import queue
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from time import perf_counter
from typing import Any

import numpy
from report import arguments, report
from workloads import ARRAY, HOPS

_FORK = multiprocessing.get_context("fork")
_BLOCKS = 16


def shared_memory(count: int) -> float:
    """Copy each array into a block of the process that has it, and send a byte on a pipe.

    Another pipe has a byte for each block that is free again.
    """
    memory = [mmap.mmap(-1, _BLOCKS * ARRAY * 8) for _ in range(HOPS)]
    arrays = [numpy.frombuffer(block).reshape(_BLOCKS, ARRAY) for block in memory]
    full, free = ([_FORK.Pipe(duplex=False) for _ in range(HOPS)] for _ in range(2))
    result = _FORK.Pipe(duplex=False)

    def stage(number: int) -> None:
        total = 0.0
        for i in range(count):
            if number:
                full[number - 1][0].recv_bytes()
                array = arrays[number - 1][i % _BLOCKS]
                total += float(array[0])
            else:
                array = numpy.full(ARRAY, float(i + 1))
            if number < HOPS:
                if i >= _BLOCKS:
                    free[number][0].recv_bytes()
                arrays[number][i % _BLOCKS] = array
                full[number][1].send_bytes(b"1")
            if number:
                free[number - 1][1].send_bytes(b"1")
        if number == HOPS:
            result[1].send(total)

    return _run_stages(stage, result[0])


def queues(count: int) -> float:
    """Get arrays from a queue in each process, and put them into the next one."""
    result = _FORK.Pipe(duplex=False)
    hops = [_FORK.Queue(_BLOCKS) for _ in range(HOPS)]
    return _run_stages(partial(_pass_on, hops, count, result[1].send), result[0])


def threads(count: int) -> float:
    """Do the same in threads, which pass on the arrays themselves."""
    results: list[float] = []
    hops = [queue.Queue[Any](_BLOCKS) for _ in range(HOPS)]
    stage = partial(_pass_on, hops, count, results.append)
    stages = [threading.Thread(target=stage, args=(number,)) for number in range(HOPS + 1)]
    for thread in stages:
        thread.start()
    for thread in stages:
        thread.join()
    return results[0]


def _pass_on(hops: list[Any], count: int, finish: Callable[[float], object], number: int) -> None:
    """Run a stage of those that are joined by queues."""
    total = 0.0
    for i in range(count):
        array = hops[number - 1].get() if number else numpy.full(ARRAY, float(i + 1))
        if number < HOPS:
            hops[number].put(array)
        else:
            total += float(array[0])
    if number == HOPS:
        finish(total)


def _run_stages(stage: Any, result: Any) -> float:
    with ExitStack() as stages:
        for number in range(HOPS + 1):
            process = _FORK.Process(target=stage, args=(number,))
            process.start()
            stages.callback(process.join)
        total: float = result.recv()
    return total


def main() -> None:
    """Run it."""
    way, count = arguments()
    started_at = perf_counter()
    total = {"shared_memory": shared_memory, "queues": queues, "threads": threads}[way](count)
    report(perf_counter() - started_at, total)


if __name__ == "__main__":
    main()
