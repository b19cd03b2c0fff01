"""The parts of a worker that its lease runs use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
from dispel4py.engine.executor import Executor
from dispel4py.engine.plan import Plan


@dataclass(frozen=True)
class WorkerServices:
    """The parts of a worker; each is described in the module of its class.

    Attributes:
        pinned: by PE number: its instances are pinned.
        orphan_numbers: numbers for adopted replicas, beside 0, the number of a worker's own.
    """

    plan: Plan
    store: TaskStore
    limits: WorkerLimits
    executor: Executor
    stack: RunStack
    inbox: Inbox
    load: LoadMonitor
    usage: UsageReport
    backpressure: Backpressure
    session: StoreSession
    local_work: LocalWork
    checkpoints: Checkpoints
    guard: PoisonGuard
    pinned: list[bool]
    orphan_numbers: Iterator[int]


def make_services(
    plan: Plan,
    store: TaskStore,
    rank: int,
    executor: Executor,
    stack: RunStack,
    load: LoadMonitor,
    pinned: list[bool],
    interval: float | None,
    redeliveries: int,
    limits: WorkerLimits,
    *,
    skips: bool,
) -> WorkerServices:
    """Return the parts of a worker, connected with each other."""
    inbox = Inbox(plan, store, stack, interval, limits)
    usage = UsageReport(plan, executor)
    backpressure = Backpressure(plan, store, inbox, stack, limits)
    session = StoreSession(
        plan, store, stack, inbox, load, usage, backpressure, limits, skips=skips
    )
    local_work = LocalWork(executor, session, load, pinned, limits)
    checkpoints = Checkpoints(plan, store, rank, executor, stack, inbox, load, session)
    guard = PoisonGuard(
        *(plan, store, executor, inbox, load, session, backpressure, local_work), redeliveries
    )
    return WorkerServices(
        plan=plan,
        store=store,
        limits=limits,
        executor=executor,
        stack=stack,
        inbox=inbox,
        load=load,
        usage=usage,
        backpressure=backpressure,
        session=session,
        local_work=local_work,
        checkpoints=checkpoints,
        guard=guard,
        pinned=pinned,
        orphan_numbers=count(1),
    )
