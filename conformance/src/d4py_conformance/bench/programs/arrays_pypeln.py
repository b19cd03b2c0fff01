"""The same arrays with pypeln: a process per stage."""

from __future__ import annotations

from time import perf_counter

import pypeln.process as pl
from array_stages import make, read, relay
from report import arguments, report
from workloads import HOPS


def main() -> None:
    """Run it."""
    _, count = arguments()
    started_at = perf_counter()
    stage = pl.map(make, range(1, count + 1), workers=1, maxsize=16)
    for _ in range(HOPS - 1):
        stage = pl.map(relay, stage, workers=1, maxsize=16)
    total = sum(pl.map(read, stage, workers=1, maxsize=16))
    report(perf_counter() - started_at, total)


if __name__ == "__main__":
    main()
