"""How fast the ground is that a mapping stands on: the same work without d4py.

Each function passes `count` small integers through `STAGES` stages that change nothing (or through
a transport, for the Redis one) and returns the seconds that it took.  A benchmark runs them beside
the mapping, in the same process and minute, because only such ratios mean anything.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from time import perf_counter
from typing import Any

STAGES = 5


def best_rate(probe: Callable[[int], float], count: int, *, hops: int = STAGES) -> float:
    """Hops per second: the best of three runs of a probe."""
    return count * hops / min(probe(count) for _ in range(3))


def plain_calls(count: int) -> float:
    """Objects that call each other, as a PE would without anything in between."""
    arrived: list[int] = []
    forward: Callable[[dict[str, int]], None] = lambda data: arrived.append(data["input"])  # noqa: E731
    for _ in range(STAGES):
        forward = _Stage(forward).process
    started_at = perf_counter()
    for number in range(count):
        forward({"input": number})
    seconds = perf_counter() - started_at
    assert len(arrived) == count
    return seconds


class _Stage:
    def __init__(self, forward: Callable[[dict[str, int]], None]) -> None:
        self._forward = forward

    def process(self, data: dict[str, int]) -> None:
        result = self._process(data["input"])
        if result is not None:
            self._forward({"input": result})

    def _process(self, data: int) -> int:
        return data


def generators(count: int) -> float:
    """Generators chained one on the other."""
    items: Iterable[int] = range(count)
    for _ in range(STAGES):
        items = _same(items)
    started_at = perf_counter()
    arrived = list(items)
    seconds = perf_counter() - started_at
    assert len(arrived) == count
    return seconds


def _same(items: Iterable[int]) -> Iterator[int]:
    for item in items:  # noqa: UP028 - `yield from` would do without the stage
        yield item


def bytewax(count: int, batch: int = 100) -> float:
    """The stream processor bytewax, in one process.

    Raises:
        ImportError: it is not installed.
    """
    operators = import_module("bytewax.operators")
    testing = import_module("bytewax.testing")
    arrived: list[int] = []
    flow = import_module("bytewax.dataflow").Dataflow("probe")
    stream = operators.input("source", flow, testing.TestingSource(range(count), batch_size=batch))
    for stage in range(STAGES):
        stream = operators.map(f"stage{stage}", stream, _identity)
    operators.output("sink", stream, testing.TestingSink(arrived))
    started_at = perf_counter()
    testing.run_main(flow)
    seconds = perf_counter() - started_at
    assert len(arrived) == count
    return seconds


def _identity(item: int) -> int:
    return item


def redis_stream(client: Any, count: int, batch: int = 1000) -> float:
    """Items packed by `batch` into entries of a Redis stream: added, read, acknowledged, deleted.

    Args:
        client: a `redis.Redis` that speaks RESP2.
        count: number of items; a multiple of `batch`.
        batch: items per entry.
    """
    stream, group = "d4py-conformance-probe", "probe"
    client.delete(stream)
    client.xgroup_create(stream, group, "0", mkstream=True)
    try:
        started_at = perf_counter()
        for start in range(0, count, batch):
            client.xadd(stream, {b"items": pickle.dumps([*range(start, start + batch)])})
        arrived = 0
        while arrived < count:
            answer = client.xreadgroup(group, "reader", {stream: ">"}, count=1)
            for entry_id, fields in dict(answer)[stream.encode()]:
                arrived += len(pickle.loads(fields[b"items"]))
                with client.pipeline(transaction=True) as pipeline:
                    pipeline.xack(stream, group, entry_id)
                    pipeline.xdel(stream, entry_id)
                    pipeline.execute()
        return perf_counter() - started_at
    finally:
        client.delete(stream)
