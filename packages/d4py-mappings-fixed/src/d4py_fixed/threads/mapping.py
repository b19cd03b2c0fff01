"""The mapping `threads`: one thread per rank, in the process of the caller.

Nothing is pickled and no process is started, so items of any kind pass between PEs at the cost of
a copy at most.  It pays where calls of PEs release Python's lock, as NumPy's do, and on builds of
Python without it.
"""

from __future__ import annotations

import argparse
from collections import deque
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from typing import Any

from d4py_fixed.engine.driver import Driver, reports_activity
from d4py_fixed.engine.placement import (
    Placement,
    accepts_more_instances,
    place,
    wanted_partitions,
)
from d4py_fixed.engine.rank import Rank
from d4py_fixed.threads.rank_threads import RankThreads
from d4py_fixed.threads.transport import Inbox, ThreadTransport
from dispel4py.engine.inputs import root_inputs
from dispel4py.engine.planning.capabilities import Capabilities
from dispel4py.engine.planning.local_pes import with_local_copies
from dispel4py.engine.planning.pe_copies import check_copies, copy_pe
from dispel4py.engine.planning.plan import Plan, PlannedPE, make_plan
from dispel4py.engine.random_streams import Stream
from dispel4py.errors import GraphError, RunError
from dispel4py.result import RunOptions, RunResult
from dispel4py.standard_streams.line_buffered_text import whole_lines_of_threads
from dispel4py.standard_streams.output import flush_standard_streams
from dispel4py.workflow_graph import WorkflowGraph


class ThreadsMapping:
    """Runs a graph on threads of this process, by default one for each instance."""

    name = "threads"
    capabilities = Capabilities(
        stateful=True, group_by=True, broadcast=True, ordered=True, shares_calls=True
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add no arguments: this mapping has no options."""

    def check(self, graph: WorkflowGraph, options: RunOptions) -> str | None:
        """See `dispel4py.registry.CheckingMapping`."""
        check_copies(_place(graph, options).plan)
        return None

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.registry.Mapping`."""
        placement = _place(graph, options)
        placement = placement._replace(plan=_with_pes_made(placement.plan))
        of_roots = root_inputs(placement.plan, inputs)
        inboxes: list[Inbox] = [SimpleQueue() for _ in range(placement.ranks + 1)]

        def run_rank(rank: int) -> None:
            Rank(
                placement,
                rank,
                ThreadTransport(inboxes, rank),
                options.on_error,
                options.share_items,
                reports_activity(options),
            ).run()

        tasks = [partial(run_rank, rank) for rank in range(placement.ranks)]
        threads = RankThreads(tasks, placement.describe)
        frames = ThreadTransport(inboxes, placement.ranks)
        driver = Driver(placement, of_roots, frames, threads.check, options, self.name)
        with whole_lines_of_threads():
            Stream(placement.plan.seed, self.name).activate()  # shared by all threads
            try:
                threads.start()
                result = driver.run()
                threads.wait()
            except BaseException as error:
                for inbox in inboxes:
                    inbox.put(None)
                for note in threads.stop():
                    error.add_note(note)
                raise
            if problems := flush_standard_streams():
                raise RunError("; ".join(problems))
        return result


def _place(graph: WorkflowGraph, options: RunOptions) -> Placement:
    """Place a graph on threads; its PEs are copied as in any run in one process."""
    plan = make_plan(graph, options)
    partitions = wanted_partitions(plan, graph, simple=False)
    placement = place(plan, options.processes, partitions, _accepts_more_instances)
    return placement._replace(plan=with_local_copies(placement.plan))


def _accepts_more_instances(pe: PlannedPE) -> bool:
    """Return whether more instances of a PE have no visible effect.

    Those of a PE that cannot be copied would share what it holds.
    """
    if not accepts_more_instances(pe):
        return False
    try:
        copy_pe(pe)
    except GraphError:
        return False
    return True


def _with_pes_made(plan: Plan) -> Plan:
    """Return the plan with the PEs of all instances made, by the thread that calls this."""

    def made(pe: PlannedPE) -> PlannedPE:
        pes = deque(copy_pe(pe) for _ in range(pe.instances))
        return replace(pe, factory=pes.popleft)

    return replace(plan, pes=tuple(map(made, plan.pes)))
