"""Runs a placed graph in processes of this machine: what `multi` and `zmq_multi` share.

They differ in their wiring alone: how a transport comes about in the driver and in each rank.
"""

from __future__ import annotations

import argparse
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from d4py_fixed.engine.driver import Driver
from d4py_fixed.engine.frames import CODEC
from d4py_fixed.engine.placement import Instance, Placement, peers_of, place, wanted_partitions
from d4py_fixed.engine.rank import Rank
from d4py_fixed.engine.transport import Transport
from d4py_fixed.shared_memory.arena import ArenaFile
from d4py_fixed.shared_memory.malloc import keep_freed_memory
from d4py_fixed.shared_memory.transport import SharedBuffers, shared_recipe
from dispel4py.engine.inputs import root_inputs
from dispel4py.engine.plan import make_plan
from dispel4py.engine.plan_bundle import PlanBundle, make_bundle
from dispel4py.errors import WorkerLostError
from dispel4py.processes.heartbeat import FrozenWatch, add_frozen_argument
from dispel4py.processes.pool import WorkerContext, WorkerPool
from dispel4py.processes.start_methods import Start, add_start_arguments
from dispel4py.result import RunOptions, RunResult, RunStats
from dispel4py.workflow_graph import WorkflowGraph


class TransportFactory(Protocol):
    """Connects the driver and the ranks of one run.

    Attributes:
        folder: a temporary folder, which `close` removes, and the ranks if the driver is killed.
    """

    folder: str | None

    def driver(self, check: Callable[[], None]) -> Transport:
        """The driver's transport; called once all ranks were started.

        Args:
            check: raises if a rank has failed; a `send` that waits has to call it now and then.
        """

    def recipe(self, rank: int) -> Callable[[], Transport]:
        """Makes the transport of a rank, in its process; picklable while a process is started."""

    def close(self) -> None:
        """Leave nothing behind."""


def add_local_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of mappings that start processes on this machine."""
    add_simple_argument(parser)
    add_frozen_argument(parser)
    add_start_arguments(parser)


def add_simple_argument(parser: argparse.ArgumentParser) -> None:
    """The option of all fixed mappings."""
    parser.add_argument(
        "-s",
        "--simple",
        action="store_true",
        help="two processes: one for the roots, one for all the rest",
    )


def make_placement(graph: WorkflowGraph, options: RunOptions) -> Placement:
    """The plan of a graph and its place in the processes that the options ask for.

    Raises:
        GraphError: the graph cannot run.
    """
    plan = make_plan(graph, options)
    simple = bool(options.extra.get("simple"))
    partitions = wanted_partitions(plan, graph, simple=simple)
    processes = len(partitions or ()) if simple else options.processes
    return place(plan, processes, partitions)


def check_locally(graph: WorkflowGraph, options: RunOptions) -> None:
    """Do what `run_locally` does before it starts anything; see `dispel4py.registry.Checks`."""
    make_bundle(make_placement(graph, options).plan, CODEC, Start.of(options.extra).method)


def run_locally(
    name: str,
    wire: Callable[[Placement], TransportFactory],
    graph: WorkflowGraph,
    inputs: Any,
    options: RunOptions,
) -> RunResult:
    """Run a graph; see `dispel4py.registry.Mapping.run`.

    Args:
        name: the mapping's name.
        wire: connects the ranks.
        graph: the graph.
        inputs: the run's inputs.
        options: the run's options.
    """
    placement = make_placement(graph, options)
    frozen = FrozenWatch.of(options.extra, rank_name(placement))
    given = root_inputs(placement.plan, inputs)
    start = Start.of(options.extra)
    bundle = make_bundle(placement.plan, CODEC, start.method)
    wiring = wire(placement)
    arenas = {rank: ArenaFile() for rank in range(placement.ranks)}
    peers = peers_of(placement)
    pool: WorkerPool | None = None
    transport: Transport | None = None
    try:
        orders = [
            (
                RankSpec.of(placement, bundle, rank, options),
                shared_recipe(
                    wiring.recipe(rank),
                    {peer: arenas[peer] for peer in (rank, *peers[rank]) if peer in arenas},
                    rank,
                ),
                wiring.folder,
            )
            for rank in range(placement.ranks)
        ]
        pool = WorkerPool(work, orders, start, frozen)
        del bundle, orders  # whoever runs a PE has it now
        stats = RunStats(name, placement.ranks, seed=placement.plan.seed)
        transport = SharedBuffers(wiring.driver(pool.raise_on_failure), arenas, placement.ranks)
        driver = Driver(placement, given, transport, pool.raise_on_failure, options, stats)
        result = driver.run()
        pool.wait_until_ended(name=rank_name(placement))
    except WorkerLostError as error:
        ran = placement.describe(error.rank)
        raise type(error)(error.rank, error.pid, error.cause, ran) from None
    else:
        return result
    finally:
        if pool is not None:
            pool.stop()
        if transport is not None:
            transport.close()
        wiring.close()
        for arena in arenas.values():
            arena.close()


@dataclass(frozen=True)
class RankSpec:
    """What a rank is started with; picklable in any start method."""

    bundle: PlanBundle
    rank_of: dict[Instance, int]
    ranks: int
    rank: int
    on_error: str
    share_items: bool
    report: bool

    @classmethod
    def of(
        cls, placement: Placement, bundle: PlanBundle, rank: int, options: RunOptions
    ) -> RankSpec:
        return cls(
            bundle.subset({pe for pe, _ in placement.instances_on(rank)}),
            placement.rank_of,
            placement.ranks,
            rank,
            options.on_error,
            options.share_items,
            options.on_progress is not None,
        )

    def run(self, transport: Transport, *, any_thread: bool = True) -> None:
        """Run the rank to its end; see `Rank`.

        Raises:
            ProcessingError: a PE raised, and the run stops at errors.
        """
        keep_freed_memory()
        times = Counter(pe for (pe, _), rank in self.rank_of.items() if rank == self.rank)
        plan = self.bundle.load(CODEC, times, last=True)
        placement = Placement(plan, self.ranks, self.rank_of)
        try:
            Rank(
                placement,
                self.rank,
                transport,
                self.on_error,
                self.share_items,
                self.report,
                any_thread,
            ).run()
        finally:
            transport.close()


def rank_name(placement: Placement) -> Callable[[int], str]:
    """Return what to call a rank in a message, by its number."""

    def name(rank: int) -> str:
        ran = placement.describe(rank)
        return f"worker {rank}" + (f", which ran {ran}" if ran else "")

    return name


def work(
    side: WorkerContext, orders: RankSpec, recipe: Callable[[], Transport], folder: str | None
) -> None:
    """Main function of a rank's process."""
    if folder is not None:
        side.on_orphaned(partial(shutil.rmtree, folder, ignore_errors=True))
    orders.run(recipe())
