"""The mapping `mpi`: each rank an MPI process, on one machine or on many.

However a run is started, the process that was asked for it is the driver, and no rank: it starts
the ranks by an mpiexec; or, where an mpiexec has started it as the first of several ranks, a
process takes its place among them, and the others wait for orders.  So the command, a script and a
notebook can all do it, plans travel in one way, and somebody is left to say which rank died.
"""

from __future__ import annotations

import argparse
import atexit
import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import mpi4py  # noqa: F401  (where it is missing, this says so; it starts nothing)

from d4py_fixed.engine.driver import Driver
from d4py_fixed.engine.placement import Placement
from d4py_fixed.local.launch import add_simple_argument, make_placement, rank_name
from d4py_fixed.mpi.launcher import (
    Launched,
    OwnRank,
    check_is_no_task,
    find_mpiexec,
    launched_rank,
    launched_size,
)
from d4py_fixed.mpi.rank_process import follow_all, follow_one, is_running
from d4py_fixed.mpi.rank_spec import pack_orders
from d4py_fixed.mpi.rank_supervisor import WAIT_SECONDS, RankSupervisor
from dispel4py.engine.capabilities import Capabilities
from dispel4py.engine.inputs import root_inputs
from dispel4py.errors import D4pyError, OptionError, RunError, UsageError, WorkerLostError
from dispel4py.processes.frozen_watch import FrozenWatch, add_frozen_argument
from dispel4py.result import RunOptions, RunResult, RunStats
from dispel4py.workflow_graph import WorkflowGraph


class MpiMapping:
    """Runs a graph by MPI; starts the processes itself where mpiexec has not."""

    name = "mpi"
    capabilities = Capabilities(
        stateful=True,
        group_by=True,
        broadcast=True,
        ordered=True,
        multi_host=True,
        shares_calls=True,
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Mapping`."""
        add_simple_argument(parser)
        add_frozen_argument(parser)
        parser.add_argument(
            "--mpiexec",
            metavar="COMMAND",
            help="what to start processes with, and its own options, such as"
            " 'mpiexec --hostfile hosts' (default: the mpiexec of this Python environment, or else"
            " the one on the path); not used where mpiexec has started the command itself, as one"
            " of several processes",
        )
        parser.add_argument(
            "--wait",
            type=float,
            default=WAIT_SECONDS,
            metavar="SECONDS",
            help="how long to wait for the MPI processes to start (default: %(default)g)",
        )

    @contextmanager
    def collective(self) -> Iterator[int | None]:
        """See `dispel4py.registry.CollectiveMapping`."""
        rank = launched_rank()
        if rank:
            yield follow_all()
            return
        if rank is not None and launched_size() != 1:
            own_world()  # while MPI starts there is a workflow to load
        yield None

    def check(self, graph: WorkflowGraph, options: RunOptions) -> str | None:
        """See `dispel4py.registry.CheckingMapping`."""
        pack_orders(make_placement(graph, options), options)
        try:
            find_mpiexec(options.extra.get("mpiexec"))
        except UsageError as error:
            return str(error)
        return None

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.registry.Mapping`.

        In a script that mpiexec has started, every process must come here.  The first one runs the
        graph; in the others this returns an empty result once the run is done.
        """
        if is_running():
            raise UsageError(
                "this process is a rank of an MPI run, and cannot start a run of its own; in a"
                " script, start runs below: if __name__ == '__main__':"
            )
        rank = launched_rank()
        if rank:
            return follow_one()
        if rank is None and not options.extra.get("mpiexec"):
            check_is_no_task()
        if rank is None or _is_alone(options):
            placement = make_placement(graph, options)
            mpiexec = find_mpiexec(options.extra.get("mpiexec"))
            start = partial(Launched, mpiexec, placement.ranks)
            return _lead(
                partial(RankSupervisor, start, placement.ranks), placement, inputs, options
            )
        size = own_world().size(_wait_of(options))
        if options.processes is not None and options.processes > size:
            raise OptionError(
                f"-n {options.processes} is more than the {size} processes that mpiexec has"
                f" started; start as many: mpiexec -n {options.processes} …"
            )
        placement = make_placement(graph, replace(options, processes=options.processes or size))
        if placement.ranks > size:
            raise OptionError(
                f"this needs {placement.ranks} processes, and mpiexec has started {size}; start as"
                f" many: mpiexec -n {placement.ranks} …"
            )
        return _lead(own_world, placement, inputs, options)


def _is_alone(options: RunOptions) -> bool:
    """Return whether a launcher has started this process alone, and more are asked for.

    So it is in a shell that a batch system has opened, where the launcher's variables stay set.
    """
    extra = options.extra
    if not (extra.get("mpiexec") or extra.get("simple") or (options.processes or 1) > 1):
        return False
    if launched_size() is not None:
        return launched_size() == 1
    if own_world().size(_wait_of(options)) > 1:
        return False
    own_world().close()
    own_world.cache_clear()
    return True


def _wait_of(options: RunOptions) -> float:
    return float(options.extra.get("wait", WAIT_SECONDS))


def _lead(make_world: Any, placement: Placement, inputs: Any, options: RunOptions) -> RunResult:
    """Be the driver of a run."""
    given = root_inputs(placement.plan, inputs)
    frozen = FrozenWatch.of(options.extra, rank_name(placement))
    orders = pack_orders(placement, options)
    stats = RunStats(MpiMapping.name, placement.ranks, seed=placement.plan.seed)
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()  # PEs that print write to the same place
    world: RankSupervisor = make_world()
    try:
        world.size(_wait_of(options))
        world.begin(orders, frozen)
        del orders  # whoever runs a PE has it now
        result = Driver(placement, given, world, world.check, options, stats).run()
        world.finish()
    except BaseException as error:
        with suppress(OSError, D4pyError):  # what fails now is not what there is to tell
            world.stop()
            if make_world is not own_world:
                world.close()
        if isinstance(error, WorkerLostError):
            ran = placement.describe(error.rank)
            raise WorkerLostError(error.rank, error.pid, error.cause, ran) from None
        raise
    if make_world is not own_world:
        world.close(rank_name(placement))
    return result


@functools.cache
def own_world() -> RankSupervisor:
    """The world that an mpiexec has started this process in; it lasts as long as the process.

    Raises:
        UsageError: MPI runs in this process already, so none can take its place.
    """
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is not None and mpi.Is_initialized() and not mpi.Is_finalized():
        raise UsageError(
            "MPI was started in the first process already, which importing mpi4py.MPI does; import"
            " it after the run, or set mpi4py.rc.initialize = False before"
        )
    world = RankSupervisor(OwnRank)
    atexit.register(_close, world)
    return world


def _close(world: RankSupervisor) -> None:
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    if world.failed:
        world.abort()  # not before all has been said: this process is ended as well
        return
    try:
        world.close()
    except RunError as error:  # the program has ended, but not well
        print(f"dispel4py: error: {error}", file=sys.stderr, flush=True)
        os._exit(1)
