"""The mapping `mpi`: each rank an MPI process, on one machine or on many.

However a run is started, the process that was asked for it is the driver, and no rank: it starts
the ranks by an mpiexec; or, where an mpiexec has started it as the first rank of several, a process
takes its place among them, and the others wait for orders.  So plans travel, PEs run and errors are
told in one way; the command, a script and a notebook can all do it; and whichever rank dies,
somebody is left to say so.
"""

from __future__ import annotations

import argparse
import pickle
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from multiprocessing import spawn
from typing import Any

import mpi4py  # noqa: F401  (where it is missing, this says so; it starts nothing)

from d4py_fixed.driver import Driver
from d4py_fixed.frames import CODEC
from d4py_fixed.local import RankOrders, placed
from d4py_fixed.mpi_follow import follow_all, follow_one
from d4py_fixed.mpi_launch import find_mpiexec, launched_rank
from d4py_fixed.mpi_processes import Launched, own_world
from d4py_fixed.mpi_rank import is_serving
from d4py_fixed.mpi_world import World, world_of
from d4py_fixed.placement import Placement
from dispel4py.errors import D4pyError, OptionError, UsageError, WorkerLostError
from dispel4py.inputs import root_inputs
from dispel4py.registry import Capabilities
from dispel4py.result import RunOptions, RunResult, RunStats
from dispel4py.shipping import pack
from dispel4py.workflow_graph import WorkflowGraph


class MpiMapping:
    """Runs a graph by MPI; starts the processes itself where mpiexec has not."""

    name = "mpi"
    capabilities = Capabilities(stateful=True, group_by=True, broadcast=True, multi_host=True)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Mapping`."""
        parser.add_argument(
            "-s",
            "--simple",
            action="store_true",
            help="two processes: one for the roots, one for all the rest",
        )
        parser.add_argument(
            "--mpiexec",
            metavar="COMMAND",
            help="what to start processes with, and its own options, such as"
            " 'mpiexec --hostfile hosts' (default: the mpiexec of this Python environment, or else"
            " the one on the path); not used where the command itself was started by mpiexec",
        )

    @contextmanager
    def in_step(self) -> Iterator[int | None]:
        """See `dispel4py.registry.InStep`."""
        rank = launched_rank()
        if rank:
            yield follow_all()
            return
        world = None if rank is None else own_world()
        status = 1
        try:
            yield None
            status = 0
        except BaseException as error:
            if isinstance(error, D4pyError):
                status = error.exit_status
            elif isinstance(error, SystemExit):
                status = error.code if isinstance(error.code, int) else int(bool(error.code))
            raise
        finally:
            if world is not None:
                world.status = status

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.registry.Mapping`.

        In a script that mpiexec has started, every process must come here.  The first one runs the
        graph; in the others this returns an empty result once the run is done.
        """
        if is_serving():
            raise UsageError(
                "this process is a rank of an MPI run, and cannot start a run of its own; in a"
                " script, start runs below: if __name__ == '__main__':"
            )
        rank = launched_rank()
        if rank:
            return follow_one()
        if rank is None:
            placement = placed(graph, options)
            mpiexec = find_mpiexec(options.extra.get("mpiexec"))
            ranks = partial(Launched, mpiexec, placement.ranks)
            return _lead(world_of(ranks, placement.ranks), placement, inputs, options)
        world = own_world()
        size = world.size()
        if options.processes is not None and options.processes > size:
            raise OptionError(
                f"-n {options.processes} is more than the {size} processes that mpiexec has"
                f" started; start as many: mpiexec -n {options.processes} …"
            )
        placement = placed(graph, replace(options, processes=options.processes or size))
        if placement.ranks > size:
            raise OptionError(
                f"this needs {placement.ranks} processes, and mpiexec has started {size}"
            )
        return _lead(nullcontext(world), placement, inputs, options)


def _lead(
    ranks: AbstractContextManager[World], placement: Placement, inputs: Any, options: RunOptions
) -> RunResult:
    given = root_inputs(placement.plan, inputs)
    orders = _orders(placement, options)
    stats = RunStats(MpiMapping.name, placement.ranks)
    sys.stdout.flush()  # PEs that print write to the same place
    with ranks as world:
        try:
            world.size()
            world.begin(orders)
            result = Driver(placement, given, world, world.check, options, stats).run()
            world.finish()
        except BaseException as error:
            world.stop()
            if isinstance(error, WorkerLostError):
                error.ran = placement.describe(error.rank)
            raise
    return result


def _orders(placement: Placement, options: RunOptions) -> list[bytes]:
    """What each rank gets: how to make a process like this one, and then the rest."""
    parcel = pack(placement.plan, CODEC)
    preparation = spawn.get_preparation_data("d4py-mpi")
    for name in ("authkey", "start_method"):  # for children only
        preparation.pop(name, None)
    return [
        pickle.dumps((preparation, pickle.dumps(RankOrders.of(placement, parcel, rank, options))))
        for rank in range(placement.ranks)
    ]
