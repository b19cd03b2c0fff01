"""The same nested items by hand: in batches over two pipes, or copied twice in one process."""

from __future__ import annotations

import multiprocessing
import pickle
from contextlib import ExitStack
from time import perf_counter
from typing import Any

from report import arguments, report
from workloads import BATCH, nested

_FORK = multiprocessing.get_context("fork")


def loop(count: int) -> float:
    """Copy an item by pickle per hop."""
    total = 0.0
    for number in range(1, count + 1):
        item = nested(number)
        for _ in range(2):
            item = pickle.loads(pickle.dumps(item, 5))
        total += _last(item)
    return total


def pipes(count: int) -> float:
    """Send items from one process by another to a third."""
    first, second = _FORK.Pipe(duplex=False), _FORK.Pipe(duplex=False)

    def write() -> None:
        for start in range(1, count + 1, BATCH):
            numbers = range(start, min(start + BATCH, count + 1))
            first[1].send_bytes(pickle.dumps([nested(number) for number in numbers], 5))
        first[1].send_bytes(pickle.dumps([]))

    def relay() -> None:
        batch: Any = True
        while batch:
            batch = pickle.loads(first[0].recv_bytes())
            second[1].send_bytes(pickle.dumps(batch, 5))

    with ExitStack() as stack:
        for work in (write, relay):
            process = _FORK.Process(target=work)
            process.start()
            stack.callback(process.join)
        total = 0.0
        while batch := pickle.loads(second[0].recv_bytes()):
            total += sum(map(_last, batch))
        return total


def _last(item: Any) -> float:
    value: float = item["samples"][-1]["values"][-1]
    return value


def main() -> None:
    """Run it."""
    way, count = arguments()
    started_at = perf_counter()
    total = {"loop": loop, "pipes": pipes}[way](count)
    report(perf_counter() - started_at, total)


if __name__ == "__main__":
    main()
