"""The mapping `mpi`: each rank is an MPI process, on one machine or on many.

The process that was asked for a run is the driver, and no rank.  The driver starts the ranks by an
mpiexec; or, if an mpiexec has started the driver as the first of several processes, a child of the
driver takes its place among the ranks, and the other processes wait for specifications.  So the
command, a script and a notebook run a graph in the same way, and the driver remains to report which
rank has died.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import mpi4py  # noqa: F401  (raises here if it is not installed; MPI is not initialised)

from d4py_fixed.engine.driver import Driver
from d4py_fixed.engine.frame_transport import EncodedFrames
from d4py_fixed.engine.placement import Placement
from d4py_fixed.local.launch import (
    add_simple_argument,
    make_placement,
    name_lost_rank,
    rank_name,
)
from d4py_fixed.mpi.launcher_environment import check_is_no_task, launched_rank, launched_size
from d4py_fixed.mpi.launching.mpiexec import MpiexecArgument, find_mpiexec
from d4py_fixed.mpi.launching.source import (
    JobSource,
    MpiexecSource,
    RankSource,
    close_job_supervisor,
    job_supervisor,
)
from d4py_fixed.mpi.limits import MpiLimits
from d4py_fixed.mpi.rank_spec import pack_specs
from d4py_fixed.mpi.ranks.main import serve_all, serve_one
from d4py_fixed.mpi.ranks.process import is_running
from dispel4py.engine.inputs import root_inputs
from dispel4py.engine.planning.capabilities import Capabilities
from dispel4py.errors import OptionError, UsageError, WorkerLostError
from dispel4py.processes.workers.frozen_watch import FrozenWatch, add_frozen_argument
from dispel4py.result import RunOptions, RunResult
from dispel4py.workflow_graph import WorkflowGraph


class MpiMapping:
    """Runs a graph by MPI; starts the processes if no mpiexec has."""

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
        if launched_rank() is not None:
            # Open MPI gives rank 0 a terminal of its own, even if what it writes goes to a file;
            # Python 3.14 and newer would put colours into the help there.
            parser.color = False  # type: ignore[attr-defined,unused-ignore]
        add_simple_argument(parser)
        add_frozen_argument(parser)
        parser.add_argument(
            "--mpiexec",
            type=MpiexecArgument,
            metavar="COMMAND",
            help="the command that starts processes, with its options, such as"
            " 'mpiexec --hostfile hosts' (default: the mpiexec of this Python environment, or else"
            " the one on the path); not used where mpiexec has started the command itself, as one"
            " of several processes",
        )
        parser.add_argument(
            "--wait",
            type=float,
            default=MpiLimits().start_seconds,
            metavar="SECONDS",
            help="how long to wait for the MPI processes to start (default: %(default)g)",
        )

    @contextmanager
    def collective(self) -> Iterator[int | None]:
        """See `dispel4py.registry.CollectiveMapping`."""
        rank = launched_rank()
        if rank:
            yield serve_all()
            return
        if rank is not None and launched_size() != 1:
            job_supervisor()  # MPI starts while the command loads the workflow
        yield None

    def check(self, graph: WorkflowGraph, options: RunOptions) -> str | None:
        """See `dispel4py.registry.CheckingMapping`."""
        pack_specs(make_placement(graph, options), options)
        try:
            find_mpiexec(options.extra.get("mpiexec"))
        except UsageError as error:
            return str(error)
        return None

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.registry.Mapping`.

        In a script that mpiexec has started, every process has to call this.  The first one runs
        the graph; in the others an empty result is returned once the run has ended.
        """
        if is_running():
            raise UsageError(
                "this process is a rank of an MPI run, and cannot start a run of its own; in a"
                " script, start runs below: if __name__ == '__main__':"
            )
        rank = launched_rank()
        if rank:
            return serve_one()
        if rank is None and not options.extra.get("mpiexec"):
            check_is_no_task()
        if rank is None or _is_alone(options):
            placement = make_placement(graph, options)
            mpiexec = find_mpiexec(options.extra.get("mpiexec"))
            return _lead(MpiexecSource(mpiexec, placement.ranks), placement, inputs, options)
        return _lead(JobSource(), _place_on_job(graph, options), inputs, options)


def _is_alone(options: RunOptions) -> bool:
    """Return whether a launcher has started one process, and the options ask for several.

    This is so in the shell of a batch system, where the variables of the launcher are still set.
    """
    extra = options.extra
    if not (extra.get("mpiexec") or extra.get("simple") or (options.processes or 1) > 1):
        return False
    if launched_size() is not None:
        return launched_size() == 1
    if job_supervisor().wait_until_started(_wait_seconds(options)) > 1:
        return False
    close_job_supervisor()
    return True


def _place_on_job(graph: WorkflowGraph, options: RunOptions) -> Placement:
    """Place a graph on the ranks of the job.

    Raises:
        OptionError: mpiexec has started too few processes.
    """
    size = job_supervisor().wait_until_started(_wait_seconds(options))
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
    return placement


def _wait_seconds(options: RunOptions) -> float:
    return float(options.extra.get("wait", MpiLimits().start_seconds))


def _lead(source: RankSource, placement: Placement, inputs: Any, options: RunOptions) -> RunResult:
    """Drive a run."""
    of_roots = root_inputs(placement.plan, inputs)
    frozen = FrozenWatch.of(options.extra, rank_name(placement))
    specs = pack_specs(placement, options)
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()  # PEs print to the same file
    supervisor = source.acquire()
    try:
        supervisor.wait_until_started(_wait_seconds(options))
        supervisor.begin(specs, frozen)
        del specs  # by now held by the ranks that run the PEs
        check, name = supervisor.check, MpiMapping.name
        frames = EncodedFrames(supervisor, placement.describe)
        result = Driver(placement, of_roots, frames, check, options, name).run()
        supervisor.finish()
    except BaseException as error:
        source.abandon(supervisor)
        if isinstance(error, WorkerLostError):
            raise name_lost_rank(error, placement) from None
        raise
    source.release(supervisor, rank_name(placement))
    return result
