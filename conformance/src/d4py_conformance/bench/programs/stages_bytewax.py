"""The same stages with bytewax, one worker, in batches."""

from time import perf_counter

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main
from report import arguments, report
from workloads import BATCH

STAGES = 5


def same(item: int) -> int:
    """Return an item."""
    return item


def main() -> None:
    """Run it."""
    _, count = arguments()
    arrived: list[int] = []
    flow = Dataflow("stages")
    stream = op.input("numbers", flow, TestingSource(range(1, count + 1), batch_size=BATCH))
    for stage in range(STAGES):
        stream = op.map(f"stage{stage}", stream, same)
    op.output("arrived", stream, TestingSink(arrived))
    started_at = perf_counter()
    run_main(flow)
    report(perf_counter() - started_at, sum(arrived))


if __name__ == "__main__":
    main()
