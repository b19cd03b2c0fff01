"""What all mappings with a task loop share: from a graph and options to a result.

The mappings differ only in their `Backend`: where tasks are queued, and how worker processes reach
them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from d4py_dynamic.driver.driver import Driver
from d4py_dynamic.driver.limits import HEARTBEAT_SECONDS, LEASE_SECONDS
from d4py_dynamic.driver.supervisor import WorkerSupervisor
from d4py_dynamic.store.protocols import DriverState, RunStore
from d4py_dynamic.store.serialization import CODEC
from d4py_dynamic.store.tasks import REDELIVERIES
from d4py_dynamic.worker.spec import WorkerSpec
from dispel4py.engine.inputs import RootInput, root_inputs
from dispel4py.engine.planning.capabilities import Capabilities, refusal
from dispel4py.engine.planning.plan import Plan, make_plan, replicate_stateless
from dispel4py.engine.planning.plan_bundle import make_bundle
from dispel4py.engine.run_events import events_of
from dispel4py.errors import OptionError, UnsupportedGraphError
from dispel4py.files.file_limit import FILES_PER_WORKER, raise_file_limit
from dispel4py.processes.workers.frozen_watch import FrozenWatch
from dispel4py.processes.workers.pool import WorkerPool
from dispel4py.processes.workers.start_methods import Start, add_start_arguments
from dispel4py.result import RunOptions, RunResult, RunStats
from dispel4py.workflow_graph import WorkflowGraph

if TYPE_CHECKING:
    from d4py_dynamic.autoscaling.policies import Policy

#: Workers where ``-n`` is not given.
DEFAULT_WORKERS = 4


class Backend(Protocol):
    """Where the tasks of one run are queued."""

    @property
    def store(self) -> RunStore:
        """The driver's side of the store."""

    @property
    def worker_main(self) -> Callable[..., None]:
        """Main function of a worker process; see `dispel4py.processes.workers.pool.WorkerPool`."""

    def open_store(self) -> RunStore:
        """Return the driver's side of the store for another thread."""

    def worker_arguments(self, rank: int) -> tuple[Any, ...]:
        """Return the arguments of `worker_main` for a worker."""

    def on_workers_started(self) -> None:
        """Take note that the worker processes were started that there are arguments for."""

    def on_run_started(self, feeding: list[int]) -> None:
        """Take note that all inputs are queued but for those of some roots, which are fed."""

    def watched(self, options: RunOptions) -> AbstractContextManager[RunOptions]:
        """Return the options of a run, by which its watchers elsewhere get its events.

        The value is to be used within the context, at whose end the run has ended for them.
        """


class DynamicMapping:
    """A mapping with a task loop; see `dispel4py.registry.Mapping`."""

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]

    #: The smallest number of processes that can be chosen; see `dispel4py.RunOptions`.
    least_processes: ClassVar[int] = 1

    def backend(
        self, plan: Plan, spec: WorkerSpec, options: RunOptions
    ) -> AbstractContextManager[Backend]:
        """Return where the tasks of a run are queued, as a context that cleans up at its end."""
        raise NotImplementedError

    def worker_spec(self, plan: Plan, start: Start, options: RunOptions) -> WorkerSpec:
        """Return what every worker of a run is started with.

        Raises:
            OptionError: an option has an invalid value.
        """
        return WorkerSpec(
            make_bundle(plan, CODEC, start.method),
            options.on_error,
            options.share_items,
            redeliveries=_redeliveries(options.extra),
            observed=events_of(options).is_observed or bool(options.extra.get("watchable")),
        )

    def policy(self, most: int, extra: Mapping[str, Any]) -> Policy | None:
        """Return what decides how many workers are active; None leaves all of them active.

        Args:
            most: number of workers that are started.
            extra: the mapping's own options.
        """
        return None

    def traced(self, extra: Mapping[str, Any], stats: RunStats) -> AbstractContextManager[None]:
        """Return a context that writes what `policy` has decided in it, if that is asked for.

        Args:
            extra: the mapping's own options.
            stats: statistics of the run, which have the decisions at its end.
        """
        return nullcontext()

    def missing(self, options: RunOptions) -> str | None:
        """Return what a run needs and this installation lacks; None if there is no such thing."""
        return None

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
        """See `dispel4py.registry.CheckingMapping`."""
        make_bundle(self._make_plan(graph, options), CODEC, Start.of(options.extra).method)
        return self.missing(options)

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.registry.Mapping`."""
        plan = self._make_plan(graph, options)
        given = root_inputs(plan, inputs)
        start = Start.of(options.extra)
        spec = self.worker_spec(plan, start, options)
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
        previous: DriverState | None = None,
    ) -> RunResult:
        """Start workers and drive a run to its end.

        Args:
            plan: the plan; shared PEs have one instance in it.
            given: inputs of the roots that are still to be fed.
            spec: what every worker is started with.
            start: how worker processes are started.
            backend: where the tasks are queued.
            options: the run's options.
            previous: how far another driver has come; None for a new run.

        Raises:
            OptionError: an option has an invalid value.
            RunError: the run failed.
        """
        extra = options.extra
        count = DEFAULT_WORKERS if options.processes is None else options.processes
        policy = self.policy(count, extra)
        stats = RunStats(self.name, count, seed=plan.seed)
        pool: WorkerPool | None = None
        with backend.watched(options) as options, self.traced(extra, stats):
            try:
                raise_file_limit(FILES_PER_WORKER * count, f"{count} worker processes")
                ranks = [backend.store.join() for _ in range(count)]
                pool = WorkerPool(
                    backend.worker_main,
                    [backend.worker_arguments(rank) for rank in ranks],
                    start,
                    FrozenWatch.of(extra),
                    common=spec,
                )
                backend.on_workers_started()
                supervisor = WorkerSupervisor(
                    plan,
                    backend.store,
                    pool,
                    ranks,
                    backend.worker_arguments,
                    backend.on_workers_started,
                    lease=lease_seconds(extra),
                    redeliveries=spec.redeliveries,
                    skips=spec.on_error == "skip",
                    former=() if previous is None else previous.ranks,
                    events=events_of(options),
                )
                return Driver(
                    plan,
                    given,
                    backend.store,
                    backend.open_store,
                    supervisor,
                    options,
                    stats,
                    policy,
                    backend.on_run_started,
                    previous,
                ).run()
            finally:
                if pool is not None:
                    pool.stop()

    def _make_plan(self, graph: WorkflowGraph, options: RunOptions) -> Plan:
        plan = make_plan(graph, options)
        refused = refusal(plan, self.capabilities)
        if refused is not None:
            raise UnsupportedGraphError(
                f"mapping {self.name!r} cannot run this graph: {refused};"
                " try hybrid_redis, multi, zmq_multi or mpi"
            )
        return replicate_stateless(plan)


def lease_seconds(extra: Mapping[str, Any]) -> float:
    """Return the time without a heartbeat after which a worker counts as lost.

    Raises:
        OptionError: it is not longer than the time between two heartbeats.
    """
    seconds = extra.get("lease")
    if seconds is None:
        return LEASE_SECONDS
    if not seconds > HEARTBEAT_SECONDS:
        raise OptionError(
            f"the lease is {seconds!r} seconds; it must be more than {HEARTBEAT_SECONDS:g}, the"
            " time between two heartbeats of a worker"
        )
    return float(seconds)


def _redeliveries(extra: Mapping[str, Any]) -> int:
    count = extra.get("redeliveries")
    if count is None:
        return REDELIVERIES
    if count < 1:
        raise OptionError(f"the number of redeliveries is {count!r}; it must be at least 1")
    return int(count)
