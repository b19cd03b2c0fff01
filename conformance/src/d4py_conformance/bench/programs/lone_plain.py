"""The same lone items by hand, through pipes or through streams of a Redis server."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from time import monotonic, sleep
from typing import Any

from redis_server import redis_server
from report import arguments, report
from workloads import PAUSE

_FORK = multiprocessing.get_context("fork")


def pipes(count: int) -> list[float]:
    """Send items over two pipes."""
    first, second = _FORK.Pipe(duplex=False), _FORK.Pipe(duplex=False)
    with ExitStack() as stack:
        _start(stack, lambda: _write(count, first[1].send))
        _start(stack, lambda: [second[1].send(first[0].recv()) for _ in range(count)])
        return [_age(second[0].recv()) for _ in range(count)]


def redis(count: int) -> list[float]:
    """Send items over two lists, with one blocking pop each."""
    from redis import Redis

    def pop(client: Any, name: str) -> float:
        return float(client.blpop([name])[1])

    with ExitStack() as stack:
        url = stack.enter_context(redis_server())

        def write() -> None:
            client = Redis.from_url(url)
            _write(count, lambda at: client.rpush("first", at))

        def relay() -> None:
            client = Redis.from_url(url)
            for _ in range(count):
                client.rpush("second", pop(client, "first"))

        _start(stack, relay)
        _start(stack, write)
        client = Redis.from_url(url)
        return [_age(pop(client, "second")) for _ in range(count)]


def _age(at: float) -> float:
    return monotonic() - at


def _write(count: int, send: Callable[[float], Any]) -> None:
    for _ in range(count):
        sleep(PAUSE)
        send(monotonic())


def _start(stack: ExitStack, work: Callable[[], Any]) -> None:
    process = _FORK.Process(target=work)
    process.start()
    stack.callback(process.join)


def main() -> None:
    """Run it."""
    way, count = arguments()
    took = {"pipes": pipes, "redis": redis}[way](count)
    report(median(took), len(took))


if __name__ == "__main__":
    main()
