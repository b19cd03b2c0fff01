"""The same counting with bytewax, one worker, in batches."""

from time import perf_counter

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main
from report import arguments, report
from workloads import BATCH, words


def main() -> None:
    """Run it."""
    _, count = arguments()
    arrived: list[tuple[str, int]] = []
    flow = Dataflow("words")
    stream = op.input("words", flow, TestingSource(words(count), batch_size=BATCH))
    counts = op.reduce_final("count", stream, lambda total, one: total + one)
    op.output("totals", counts, TestingSink(arrived))
    started_at = perf_counter()
    run_main(flow)
    report(perf_counter() - started_at, sum(total for _, total in arrived))


if __name__ == "__main__":
    main()
