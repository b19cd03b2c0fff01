"""Lone items through two PEs behind the root, on a mapping of d4py.

Median seconds from the root to the last PE; and, where it runs on Redis, how many messages the
server has read per item, which are round trips as clients see them, polling included.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from statistics import median
from time import monotonic, sleep

from redis_server import redis_server
from report import arguments, report
from workloads import PAUSE

from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run


class Stamps(ProducerPE):
    """Sends the time after a pause."""

    def _process(self, inputs):
        sleep(PAUSE)
        return monotonic()


class Relay(IterativePE):
    """Sends what it gets."""

    def _process(self, data):
        return data


class Delays(IterativePE):
    """Sends how long an item was on its way."""

    def _process(self, data):
        return monotonic() - data


def delays(mapping: str, count: int) -> list[float]:
    """Run it."""
    graph = WorkflowGraph()
    relay, last = Relay(), Delays()
    graph.connect(Stamps(), "output", relay, "input")
    graph.connect(relay, "output", last, "input")
    found: list[float] = run(graph, mapping, count, 3).outputs["Delays2"]["output"]
    return found


def main() -> None:
    """Run it twice, so that what a run takes in any case is left out of the messages."""
    mapping, count = arguments()
    with ExitStack() as stack:
        if not mapping.endswith("redis"):
            took = delays(mapping, count)
            report(median(took), len(took))
            return
        from redis import Redis

        url = stack.enter_context(redis_server())
        client = stack.enter_context(Redis.from_url(url))
        os.environ["REDIS_URL"] = url
        reads = [client.info("stats")["total_reads_processed"]]
        for size in (1, count + 1):
            took = delays(mapping, size)[-count:]
            reads.append(client.info("stats")["total_reads_processed"])
    messages = (reads[2] - reads[1]) - (reads[1] - reads[0])
    report(median(took), len(took), messages_per_item=messages / count)


if __name__ == "__main__":
    main()
