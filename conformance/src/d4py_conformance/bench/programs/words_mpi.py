"""The same counting by hand with mpi4py: rank 0 sends, the others count."""

from __future__ import annotations

from itertools import islice
from time import perf_counter

from mpi4py import MPI
from report import arguments, report
from workloads import BATCH, add, by_counter, words


def main() -> None:
    """Run it."""
    _, count = arguments()
    world = MPI.COMM_WORLD
    started_at = perf_counter()
    counts: dict[str, int] = {}
    if world.rank == 0:
        pairs, sent = iter(words(count)), []
        while batch := [*islice(pairs, BATCH)]:
            sent += [world.isend(part, 1 + i) for i, part in enumerate(by_counter(batch))]
            if len(sent) > 64:
                MPI.Request.Waitall(sent)
                sent.clear()
        MPI.Request.Waitall([*sent, *(world.isend([], rank) for rank in range(1, world.size))])
    else:
        while batch := world.recv(source=0):
            add(counts, batch)
    total = world.reduce(sum(counts.values()))
    if world.rank == 0:
        report(perf_counter() - started_at, total)


if __name__ == "__main__":
    main()
