"""The same arrays by hand with mpi4py: from rank to rank, out of one buffer into another."""

from __future__ import annotations

from time import perf_counter

import numpy
from mpi4py import MPI
from report import arguments, report
from workloads import ARRAY


def main() -> None:
    """Run it."""
    _, count = arguments()
    world = MPI.COMM_WORLD
    last, total = world.size - 1, 0.0
    array = numpy.empty(ARRAY)
    started_at = perf_counter()
    for number in range(count):
        if world.rank == 0:
            array = numpy.full(ARRAY, float(number + 1))
        else:
            world.Recv(array, world.rank - 1)
            total += float(array[0])
        if world.rank < last:
            world.Send(array, world.rank + 1)
    if world.rank == last:
        world.send(total, 0)
    if world.rank == 0:
        total = world.recv(source=last)
        report(perf_counter() - started_at, total)


if __name__ == "__main__":
    main()
