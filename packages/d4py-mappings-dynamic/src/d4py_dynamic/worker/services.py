"""The parts of a worker that its lease runs use, connected with each other."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from d4py_dynamic.store.protocols import TaskStore
from d4py_dynamic.worker.backpressure import Backpressure
from d4py_dynamic.worker.checkpoints import Checkpoints
from d4py_dynamic.worker.inbox import Inbox
from d4py_dynamic.worker.lease_run import RunStack
from d4py_dynamic.worker.limits import WorkerLimits
from d4py_dynamic.worker.load import LoadMonitor
from d4py_dynamic.worker.local_work import LocalWork
from d4py_dynamic.worker.poison import PoisonGuard
from d4py_dynamic.worker.session import StoreSession
from d4py_dynamic.worker.usage import UsageReport
from dispel4py.engine.execution.leased_executor import LeasedExecutor
from dispel4py.engine.planning.plan import Plan


class WorkerServices:
    """The parts of a worker; each is described in the module of its class.

    Args:
        plan: the plan.
        store: the store.
        rank: number of the worker.
        executor: processes items.
        stack: the leases being processed.
        load: the load as of the last look.
        pinned: by PE number: its instances are pinned.
        interval: see `PinnedInstance`.
        redeliveries: see `PoisonGuard`.
        limits: of the worker.
        on_idle: see `Inbox`.
        skips: errors are skipped.

    Attributes:
        orphan_numbers: numbers for adopted replicas, beside 0, the number of a worker's own.
    """

    def __init__(
        self,
        plan: Plan,
        store: TaskStore,
        rank: int,
        executor: LeasedExecutor,
        stack: RunStack,
        load: LoadMonitor,
        pinned: list[bool],
        interval: float | None,
        redeliveries: int,
        limits: WorkerLimits,
        on_idle: Callable[[], float],
        *,
        skips: bool,
    ) -> None:
        self.plan = plan
        self.store = store
        self.executor = executor
        self.stack = stack
        self.load = load
        self.pinned = pinned
        self.limits = limits
        self.orphan_numbers = count(1)
        self.usage = UsageReport(plan, executor)
        self.inbox = Inbox(plan, store, stack, load, interval, limits, on_idle)
        self.backpressure = Backpressure(plan, store, self.inbox, stack, limits)
        self.session = StoreSession(
            *(plan, store, stack, self.inbox, load, self.usage, self.backpressure, limits),
            skips=skips,
        )
        self.local_work = LocalWork(executor, self.session, pinned, limits)
        self.checkpoints = Checkpoints(plan, store, rank, executor, stack, self.inbox, self.session)
        self.guard = PoisonGuard(
            *(plan, executor, self.inbox, self.session, self.backpressure, self.local_work),
            redeliveries,
        )
