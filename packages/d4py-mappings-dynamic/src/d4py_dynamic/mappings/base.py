"""What all mappings with a task loop share: from a graph and options to a result.

They differ in their backend alone: where tasks wait, and how a worker process reaches them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol

from d4py_dynamic.autoscaling.policies import DEFAULT_STRATEGY, STRATEGIES, Policy, make_policy
from d4py_dynamic.autoscaling.trace import traced_to
from d4py_dynamic.driver.driver import Driver
from d4py_dynamic.driver.limits import HEARTBEAT_SECONDS, LEASE_SECONDS
from d4py_dynamic.driver.supervisor import WorkerSupervisor
from d4py_dynamic.store.protocols import Progress, RunStore
from d4py_dynamic.store.serialization import CODEC
from d4py_dynamic.store.tasks import REDELIVERIES
from d4py_dynamic.worker.pinned_instance import COMMIT_INTERVAL
from d4py_dynamic.worker.spec import WorkerSpec
from dispel4py.engine.capabilities import Capabilities, refusal
from dispel4py.engine.inputs import RootInput, root_inputs
from dispel4py.engine.plan import Plan, make_plan, share_stateless
from dispel4py.engine.plan_bundle import pack
from dispel4py.errors import OptionError, UnsupportedGraphError
from dispel4py.files.file_limit import FILES_PER_WORKER, make_room
from dispel4py.processes.heartbeat import FrozenWatch
from dispel4py.processes.pool import WorkerPool
from dispel4py.processes.start_methods import Start, add_start_arguments
from dispel4py.result import RunOptions, RunResult, RunStats
from dispel4py.workflow_graph import WorkflowGraph

#: Workers where ``-n`` is not given.
DEFAULT_WORKERS = 4


class Backend(Protocol):
    """Where the tasks of one run wait."""

    @property
    def store(self) -> RunStore:
        """The driver's side."""

    @property
    def work(self) -> Callable[..., None]:
        """Main function of a worker's process; see `dispel4py.processes.pool.WorkerPool`."""

    def another_store(self) -> RunStore:
        """The driver's side once more, for another thread."""

    def orders(self, rank: int) -> tuple[Any, ...]:
        """What a worker is started with, for `work`."""

    def started(self) -> None:
        """The workers that there are orders for were started."""

    def begun(self, feeding: list[int]) -> None:
        """All is in the store that was given at once; these roots are still to be fed."""


class DynamicMapping:
    """A mapping with a task loop; see `dispel4py.registry.Mapping`."""

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]

    #: The least number of processes that will do; see `dispel4py.RunOptions`.
    least_processes: ClassVar[int] = 1

    def backend(
        self, plan: Plan, spec: WorkerSpec, options: RunOptions
    ) -> AbstractContextManager[Backend]:
        """Where the tasks of a run wait; leaves nothing behind."""
        raise NotImplementedError

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Mapping`."""
        add_start_arguments(parser)
        parser.add_argument(
            "--redeliveries",
            type=int,
            metavar="N",
            help="how often an item is tried again whose workers die of it"
            f" (default: {REDELIVERIES})",
        )
        parser.add_argument(
            "-ct",
            "--consumer-timeout",
            type=int,
            metavar="MS",
            help="no longer used: runs end by counting, not by waiting",
        )

    def check(self, graph: WorkflowGraph, options: RunOptions) -> str | None:
        """See `dispel4py.registry.Checks`."""
        pack(self._plan(graph, options), CODEC, Start.of(options.extra).method)
        return self.missing(options)

    def missing(self, options: RunOptions) -> str | None:
        """Return what a run would need that is not here; None if nothing."""
        return None

    def _plan(self, graph: WorkflowGraph, options: RunOptions) -> Plan:
        plan = make_plan(graph, options)
        refused = refusal(plan, self.capabilities)
        if refused is not None:
            raise UnsupportedGraphError(
                f"mapping {self.name!r} cannot run this graph: {refused};"
                " try hybrid_redis, multi, zmq_multi or mpi"
            )
        return share_stateless(plan)

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.registry.Mapping`."""
        plan = self._plan(graph, options)
        given = root_inputs(plan, inputs)
        extra = options.extra
        start = Start.of(extra)
        spec = WorkerSpec(
            pack(plan, CODEC, start.method),
            options.on_error,
            options.share_items,
            _interval(extra),
            _redeliveries(extra),
        )
        with self.backend(plan, spec, options) as backend:
            return self.drive(plan, given, spec, start, backend, options)

    def drive(
        self,
        plan: Plan,
        given: dict[int, RootInput],
        spec: WorkerSpec,
        start: Start,
        backend: Backend,
        options: RunOptions,
        progress: Progress | None = None,
    ) -> RunResult:
        """Start workers and drive a run to its end.

        Args:
            plan: the plan; shared PEs have one instance in it.
            given: inputs of the roots that are still to be fed.
            spec: what workers are started with.
            start: how.
            backend: where the tasks wait.
            options: the run's options.
            progress: how far the run has come; None if it begins.
        """
        extra = options.extra
        count = DEFAULT_WORKERS if options.processes is None else options.processes
        policy = self._policy(count, extra)
        stats = RunStats(self.name, count, seed=plan.seed)
        pool: WorkerPool | None = None
        with traced_to(extra.get("scaling_trace"), stats):
            try:
                make_room(FILES_PER_WORKER * count, f"{count} worker processes")
                ranks = [backend.store.join() for _ in range(count)]
                orders = [backend.orders(rank) for rank in ranks]
                frozen = FrozenWatch.of(extra)
                pool = WorkerPool(backend.work, orders, start, frozen, common=spec)
                backend.started()
                supervisor = WorkerSupervisor(
                    plan,
                    backend.store,
                    pool,
                    ranks,
                    backend.orders,
                    backend.started,
                    lease=lease(extra),
                    redeliveries=spec.redeliveries,
                    skips=spec.on_error == "skip",
                    former=() if progress is None else progress.ranks,
                )
                return Driver(
                    plan,
                    given,
                    backend.store,
                    backend.another_store,
                    supervisor,
                    options,
                    stats,
                    policy,
                    backend.begun,
                    progress,
                ).run()
            finally:
                if pool is not None:
                    pool.stop()

    def _policy(self, most: int, extra: Any) -> Policy | None:
        return None


def lease(extra: Any) -> float:
    """Seconds after which a silent worker is given up."""
    seconds = extra.get("lease")
    if seconds is None:
        return LEASE_SECONDS
    if not seconds > HEARTBEAT_SECONDS:
        raise OptionError(
            f"the lease is {seconds!r} seconds; it must be more than {HEARTBEAT_SECONDS:g}, the"
            " time between two heartbeats of a worker"
        )
    return float(seconds)


class Scales(DynamicMapping):
    """Parks workers that are not needed and wakes them again."""

    #: The strategy that a threshold is for if none is named, what the threshold is, and its option.
    old_strategy: ClassVar[tuple[str, str, str]]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Mapping`."""
        super().add_arguments(parser)
        strategy, threshold, option = self.old_strategy
        group = parser.add_argument_group("autoscaling")
        group.add_argument(
            "--scaling",
            choices=[*STRATEGIES],
            help=f"what decides how many of the -n workers are active (default: {DEFAULT_STRATEGY},"
            f" or {strategy} if -thr is given)",
        )
        group.add_argument(
            "-thr",
            option,
            dest="threshold",
            type=float,
            metavar="NUMBER",
            help=f"threshold of the strategy: {threshold}",
        )
        group.add_argument(
            "--scaling-trace",
            metavar="FILE",
            help="write active workers and backlog over time to FILE, as CSV",
        )

    def _policy(self, most: int, extra: Any) -> Policy:
        threshold = extra.get("threshold")
        default = DEFAULT_STRATEGY if threshold is None else self.old_strategy[0]
        # Without workers of its own, a run has those that join it.
        return make_policy(extra.get("scaling") or default, max(1, most), threshold)


def _interval(extra: Any) -> float | None:
    if extra.get("no_checkpoint"):
        return None
    interval = extra.get("commit_interval")
    if interval is None:
        return COMMIT_INTERVAL
    if not interval > 0:
        raise OptionError(f"the commit interval is {interval!r}; it has to be more than 0 seconds")
    return float(interval)


def _redeliveries(extra: Any) -> int:
    count = extra.get("redeliveries")
    if count is None:
        return REDELIVERIES
    if count < 1:
        raise OptionError(f"the number of redeliveries is {count!r}; it must be at least 1")
    return int(count)
