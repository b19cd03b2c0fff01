"""The same counting by hand: in a loop, or with pipes or Redis streams between processes."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from time import perf_counter
from typing import Any

from redis_server import redis_server
from report import arguments, report
from workloads import BATCH, COUNTERS, WORDS, add, by_counter, words

_FORK = multiprocessing.get_context("fork")


def loop(count: int) -> int:
    """Count in one loop, with a call per item, as for a PE."""
    tables: list[dict[str, int]] = [{} for _ in range(COUNTERS)]

    def process(number: int) -> None:
        word, one = WORDS[number % 1009]
        table = tables[hash(word) % COUNTERS]
        table[word] = table.get(word, 0) + one

    for number in range(count):
        process(number)
    return sum(sum(table.values()) for table in tables)


def pipes(count: int) -> int:
    """Count in three processes, each at the end of a pipe."""
    ends = [_FORK.Pipe() for _ in range(COUNTERS)]

    def counter(number: int) -> None:
        _count(ends[number][1].recv_bytes, ends[number][1].send)

    with _counters(counter):
        _send(count, lambda number, batch: ends[number][0].send_bytes(batch))
        return sum(ours.recv() for ours, _ in ends)


def redis(count: int) -> int:
    """Count in three processes, each of which reads a stream."""
    from redis import Redis

    with redis_server() as url:

        def counter(number: int) -> None:
            client = Redis.from_url(url, protocol=2)
            last = b"0"

            def receive() -> bytes:
                nonlocal last
                answer: Any = client.xread({f"to{number}": last}, count=1, block=10_000)
                ((_, ((last, fields),)),) = answer
                client.xdel(f"to{number}", last)
                data: bytes = fields[b"d"]
                return data

            _count(receive, lambda total: client.rpush("totals", total))

        with _counters(counter):
            client = Redis.from_url(url, protocol=2)
            _send(count, lambda number, batch: client.xadd(f"to{number}", {"d": batch}))
            totals: list[Any] = [client.blpop(["totals"]) for _ in range(COUNTERS)]
            return sum(int(total) for _, total in totals)


@contextmanager
def _counters(counter: Callable[[int], None]) -> Iterator[None]:
    """Run a function in processes while the block lasts; they end by themselves."""
    running = [_FORK.Process(target=counter, args=(number,)) for number in range(COUNTERS)]
    for process in running:
        process.start()
    yield
    for process in running:
        process.join()


def _send(count: int, send: Callable[[int, bytes], Any]) -> None:
    pairs = iter(words(count))
    while batch := [*islice(pairs, BATCH)]:
        for number, part in enumerate(by_counter(batch)):
            send(number, pickle.dumps(part, 5))
    for number in range(COUNTERS):
        send(number, pickle.dumps([]))


def _count(receive: Callable[[], bytes], send: Callable[[int], Any]) -> None:
    counts: dict[str, int] = {}
    while batch := pickle.loads(receive()):
        add(counts, batch)
    send(sum(counts.values()))


def main() -> None:
    """Run it."""
    way, count = arguments()
    started_at = perf_counter()
    total = {"loop": loop, "pipes": pipes, "redis": redis}[way](count)
    report(perf_counter() - started_at, total)


if __name__ == "__main__":
    main()
