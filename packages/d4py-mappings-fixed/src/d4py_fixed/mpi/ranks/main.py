"""The ways in which a process becomes a rank.

`main` is the program of ranks that the driver starts.  `serve_all` and `serve_one` are for the
processes of the command, or of a script, that an mpiexec has started beside the first one.
"""

from __future__ import annotations

import atexit
import functools
import gc
import sys
from typing import NoReturn

from d4py_fixed.mpi.limits import MpiLimits
from d4py_fixed.mpi.ranks.orphans import empty_standard_input, exit_when_parent_ends
from d4py_fixed.mpi.ranks.parent import become_child
from d4py_fixed.mpi.ranks.process import RankProcess, serve
from dispel4py.errors import RunError
from dispel4py.processes.marks import mark_environment
from dispel4py.processes.workers.exiting import begin_worker_process
from dispel4py.processes.workers.process import leave_signals_to_parent
from dispel4py.result import RunResult, RunStats


def main() -> NoReturn:
    """Be a rank that the driver has started."""
    _begin()
    is_child = "--child" in sys.argv
    if is_child:
        exit_when_parent_ends(MpiLimits())
    else:
        empty_standard_input()
    begin_worker_process()
    gc.freeze()  # what was imported is no garbage, and looking for some takes long
    gc.enable()
    serve(adopts_streams=not is_child)
    sys.exit()


def serve_all() -> int:
    """Be a rank in all runs of the first process; return the exit status of success."""
    _begin()
    become_child()
    empty_standard_input()
    begin_worker_process()
    serve(is_of_job=True)
    return 0


def serve_one() -> RunResult:
    """Be a rank in one run of the first process, and return an empty result.

    A script goes on from here as it does there.  So a run that failed there fails here as well, but
    only once the first process has ended, as mpiexec kills all when one of them fails.

    Raises:
        RunError: the run failed.
    """
    rank = _rank_of_script()
    spec = rank.next_spec()
    if spec is not None and rank.run(spec):
        return RunResult({}, [], RunStats("mpi", rank.size))
    while spec is not None:
        spec = rank.next_spec()
    raise RunError("the run failed, or there was none; see the error of the first MPI process")


@functools.cache
def _rank_of_script() -> RankProcess:
    empty_standard_input()
    rank = RankProcess(is_worker=False, is_of_job=True)
    atexit.register(_leave, rank)
    return rank


def _leave(rank: RankProcess) -> None:
    while rank.next_spec() is not None:
        pass  # this script has ended, and the first process has not
    rank.end()


def _begin() -> None:
    """Leave signals to the driver, which ends the ranks at Ctrl-C."""
    leave_signals_to_parent()
    mark_environment()
