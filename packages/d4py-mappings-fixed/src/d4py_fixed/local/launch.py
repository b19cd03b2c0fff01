"""Runs a graph by ranks in processes of this machine, as `multi` and `zmq_multi` do.

The two mappings differ in their `TransportFactory` alone, which connects the driver and the ranks.
"""

from __future__ import annotations

import argparse
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any, NamedTuple, Protocol

from d4py_fixed.engine.driver import Driver, reports_activity
from d4py_fixed.engine.frame_transport import EncodedFrames
from d4py_fixed.engine.frames import CODEC
from d4py_fixed.engine.placement import Instance, Placement, place, wanted_partitions
from d4py_fixed.engine.rank import Rank
from d4py_fixed.engine.transport import Transport
from d4py_fixed.shared_memory.arena import Arena
from d4py_fixed.shared_memory.transport import SharedMemory, SharedMemoryTransport
from dispel4py.engine.execution.pickled_items import copy_buffer
from dispel4py.engine.inputs import root_inputs
from dispel4py.engine.planning.plan import Ancestors, make_plan
from dispel4py.engine.planning.plan_bundle import PlanBundle, make_bundle
from dispel4py.errors import WorkerLostError
from dispel4py.processes.garbage import imported_exempt
from dispel4py.processes.workers.frozen_watch import FrozenWatch, add_frozen_argument
from dispel4py.processes.workers.pool import WorkerPool
from dispel4py.processes.workers.process import WorkerContext
from dispel4py.processes.workers.start_methods import Start, add_start_arguments
from dispel4py.result import RunOptions, RunResult
from dispel4py.shared_memory.arena_file import ArenaFile
from dispel4py.shared_memory.malloc import keep_freed_memory
from dispel4py.workflow_graph import WorkflowGraph

#: Makes the transport of a rank, in the rank's process.
MakeTransport = Callable[[], Transport]


class TransportFactory(Protocol):
    """Connects the driver and the ranks of one run.

    Attributes:
        folder: a temporary folder, removed by `close`, or by the ranks if the driver is killed.
    """

    folder: str | None

    def for_driver(self, check: Callable[[], None]) -> Transport:
        """Return the driver's transport; called once, after all ranks were started.

        Args:
            check: raises if a rank has failed; called regularly while a `send` waits.
        """

    def for_rank(self, rank: int) -> MakeTransport:
        """Return what makes the transport of a rank; picklable while a process is started."""

    def close(self) -> None:
        """Release all resources of the run."""


def add_local_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of mappings that start processes on this machine."""
    add_simple_argument(parser)
    add_frozen_argument(parser)
    add_start_arguments(parser)


def add_simple_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option of all fixed mappings."""
    parser.add_argument(
        "-s",
        "--simple",
        action="store_true",
        help="two processes: one for the roots, one for all the rest",
    )


def make_placement(graph: WorkflowGraph, options: RunOptions) -> Placement:
    """Plan a graph and place it in the processes that the options request.

    Raises:
        GraphError: the graph cannot run.
    """
    plan = make_plan(graph, options)
    simple = bool(options.extra.get("simple"))
    partitions = wanted_partitions(plan, graph, simple=simple)
    processes = len(partitions or ()) if simple else options.processes
    return place(plan, processes, partitions)


def check_locally(graph: WorkflowGraph, options: RunOptions) -> None:
    """Check whether `run_locally` can run a graph; see `dispel4py.registry.CheckingMapping`."""
    make_bundle(make_placement(graph, options).plan, CODEC, Start.of(options.extra).method)


def run_locally(
    name: str,
    make_factory: Callable[[Placement], TransportFactory],
    graph: WorkflowGraph,
    inputs: Any,
    options: RunOptions,
) -> RunResult:
    """Run a graph; see `dispel4py.registry.Mapping.run`.

    Args:
        name: the mapping's name.
        make_factory: makes the `TransportFactory` of the run.
        graph: the graph.
        inputs: the run's inputs.
        options: the run's options.
    """
    placement = make_placement(graph, options)
    frozen = FrozenWatch.of(options.extra, rank_name(placement))
    of_roots = root_inputs(placement.plan, inputs)
    start = Start.of(options.extra)
    bundle = make_bundle(placement.plan, CODEC, start.method)
    sources = _sources_of(placement)
    arenas: dict[int, ArenaFile] = {}
    pool: WorkerPool | None = None
    transport: Transport | None = None
    factory = make_factory(placement)
    try:
        _make_arenas(placement.ranks, arenas)
        arguments = [
            (
                RankSpec.of(placement, bundle, rank, options),
                partial(
                    _share_memory,
                    factory.for_rank(rank),
                    {peer: arenas[peer] for peer in (rank, *sources[rank]) if peer in arenas},
                    rank,
                ),
                factory.folder,
            )
            for rank in range(placement.ranks)
        ]
        pool = WorkerPool(run_rank, arguments, start, frozen)
        del bundle, arguments  # by now held by the processes that run the PEs
        transport = SharedMemoryTransport(
            factory.for_driver(pool.raise_on_failure), SharedMemory(None, arenas)
        )
        frames = EncodedFrames(transport, placement.describe)
        result = Driver(placement, of_roots, frames, pool.raise_on_failure, options, name).run()
        pool.wait_until_ended(name=rank_name(placement))
    except WorkerLostError as error:
        raise name_lost_rank(error, placement) from None
    else:
        return result
    finally:
        if pool is not None:
            pool.stop()
        if transport is not None:
            transport.close()
        factory.close()
        for arena in arenas.values():
            arena.close()


def _make_arenas(ranks: int, arenas: dict[int, ArenaFile]) -> None:
    """Add the file of an arena for each rank, or for those for which the system makes one."""
    with suppress(OSError):  # a limit on the size of files (ulimit -f), or a full disk on macOS
        for rank in range(ranks):
            arenas[rank] = ArenaFile()


def _sources_of(placement: Placement) -> list[set[int]]:
    """Return for each rank those from which its items come, over one hop or several."""
    ancestors = Ancestors(placement.plan)
    upstream = {pe.index: placement.ranks_of(ancestors[pe.index]) for pe in placement.plan.pes}
    sources: list[set[int]] = [set() for _ in range(placement.ranks)]
    for (pe, _), rank in placement.rank_of.items():
        sources[rank] |= upstream[pe]
    return sources


def _share_memory(
    make_transport: MakeTransport, arenas: dict[int, ArenaFile], rank: int
) -> Transport:
    return SharedMemoryTransport(make_transport(), SharedMemory(Arena.of(arenas.get(rank)), arenas))


class RankSpec(NamedTuple):
    """What a rank is started with; picklable with any start method.

    Attributes:
        bundle: The PEs of the rank.
        rank_of: (PE number, instance) → rank.
        ranks: Number of ranks.
        rank: Number of this rank.
        on_error: See `Rank`.
        share_items: See `Rank`.
        observed: See `Rank`.
    """

    bundle: PlanBundle
    rank_of: dict[Instance, int]
    ranks: int
    rank: int
    on_error: str
    share_items: bool
    observed: bool

    @classmethod
    def of(
        cls, placement: Placement, bundle: PlanBundle, rank: int, options: RunOptions
    ) -> RankSpec:
        """Return the specification of one rank of a run."""
        return cls(
            bundle.subset({pe for pe, _ in placement.instances_on(rank)}),
            placement.rank_of,
            placement.ranks,
            rank,
            options.on_error,
            options.share_items,
            reports_activity(options),
        )

    def run(
        self, transport: Transport, *, any_thread: bool = True, in_worker: bool = False
    ) -> None:
        """Run the rank to its end; see `Rank`.

        Args:
            transport: to the other ranks; it is closed.
            any_thread: see `Rank`.
            in_worker: this process has been started for this rank alone.

        Raises:
            ProcessingError: a PE raised, and the run stops at errors.
        """
        keep_freed_memory()
        times = Counter(pe for (pe, _), rank in self.rank_of.items() if rank == self.rank)
        plan = self.bundle.load(CODEC, times, last=True)
        placement = Placement(plan, self.ranks, self.rank_of)
        keep = transport.keep if isinstance(transport, SharedMemoryTransport) else copy_buffer
        try:
            with imported_exempt() if in_worker else nullcontext():
                Rank(
                    placement,
                    self.rank,
                    EncodedFrames(transport, placement.describe, keep),
                    self.on_error,
                    self.share_items,
                    self.observed,
                    any_thread,
                ).run()
        finally:
            transport.close()


def rank_name(placement: Placement) -> Callable[[int], str]:
    """Return what names a rank in messages, by its number."""

    def name(rank: int) -> str:
        ran = placement.describe(rank)
        return f"worker {rank}" + (f", which ran {ran}" if ran else "")

    return name


def name_lost_rank(error: WorkerLostError, placement: Placement) -> WorkerLostError:
    """Return the same error with the names of the PEs that the lost rank ran."""
    return type(error)(error.rank, error.pid, error.cause, placement.describe(error.rank))


def run_rank(
    context: WorkerContext, spec: RankSpec, make_transport: MakeTransport, folder: str | None
) -> None:
    """Run a rank: the main function of its process.

    Args:
        context: the process.
        spec: what the rank is started with.
        make_transport: makes its transport.
        folder: removed if the driver is killed.
    """
    if folder is not None:
        context.on_orphaned(partial(shutil.rmtree, folder, ignore_errors=True))
    spec.run(make_transport(), in_worker=True)
