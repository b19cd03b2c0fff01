"""`TaskStore` and `RunStore` on an `InMemoryStore`: tasks are serialized on one side of it.

A worker reaches the table by calls of its methods, in the same process or over a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from d4py_dynamic.store.memory.table import (
    InMemoryStore,
    SerializedCommit,
    SerializedInstance,
    SerializedTask,
)
from d4py_dynamic.store.protocols import (
    TAKE_SECONDS,
    Event,
    InputOffset,
    Load,
    LogLine,
    Notice,
    OrphanedReplica,
    Quiescent,
    Results,
    UndeclaredState,
)
from d4py_dynamic.store.serialization import CODEC, dumps, remaining
from d4py_dynamic.store.tasks import (
    ANY,
    AdoptedInstance,
    Commit,
    Delivery,
    Eviction,
    InstanceId,
    Lease,
    ResumePoint,
    StoreStatus,
    Task,
    counts,
    is_replica_end,
)
from dispel4py.engine.plan import Plan
from dispel4py.result import InstanceStats

#: Calls a method of the table, by name, for one worker.
Ask = Callable[..., Any]


class InMemoryTaskStore:
    """See `TaskStore`.

    Args:
        ask: see `Ask`.
    """

    largest: int | None = None

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def take(
        self,
        only: Sequence[InstanceId] | None = None,
        seconds: float = TAKE_SECONDS,
        *,
        shared: bool = True,
        pinned: bool = True,
    ) -> list[Lease]:
        return self._leases(self._ask("take", only, seconds, shared, pinned))

    def adopt(self, pin: InstanceId) -> AdoptedInstance:
        packed: SerializedInstance = self._ask("adopt", pin)
        leases = self._leases(packed.leases)
        return AdoptedInstance(packed.state, packed.position, leases, packed.delivery_count)

    def commit(self, commit: Commit) -> StoreStatus:
        result = None
        if commit.results or commit.failures:
            result = dumps(Results(commit.results, commit.failures))
        done = SerializedCommit(
            leases=[lease.token for lease in commit.leases],
            states=commit.states,
            instance_positions=commit.instance_positions,
            lease_positions=[(lease.token, position) for lease, position in commit.lease_positions],
            progressed=[_name(delivery) for delivery in commit.progressed],
            attempt=commit.attempt and (_name(commit.attempt.delivery), commit.attempt.in_call),
            tasks=[_packed(task) for task in commit.tasks],
            result=result,
            counters=commit.counters,
            replicas=commit.replicas,
            orphans=commit.orphans,
            finished=[lease.task.pe for lease in commit.leases if is_replica_end(lease.task)],
        )
        status: StoreStatus = self._ask("commit", done)
        return status

    def status(self, watched: Sequence[InstanceId] = ()) -> StoreStatus:
        status: StoreStatus = self._ask("status", tuple(watched))
        return status

    def positions(self, pins: Sequence[InstanceId]) -> list[ResumePoint]:
        positions: list[ResumePoint] = self._ask("positions", pins)
        return positions

    def log(self, pe_id: str, rank: int, message: str) -> None:
        self._ask("send_event", CODEC.dumps(LogLine(pe_id, rank, message)))

    def report_undeclared_state(self, found: UndeclaredState) -> None:
        self._ask("send_event", CODEC.dumps(found))

    def close(self) -> None:
        """See `TaskStore`; whoever made the connection closes it."""

    def _leases(self, taken: list[tuple[int, SerializedTask]]) -> list[Lease]:
        return [_lease(packed, token) for token, packed in taken]


class InMemoryRunStore:
    """See `RunStore`.

    Args:
        table: the table.
        plan: the plan.
    """

    def __init__(self, table: InMemoryStore, plan: Plan) -> None:
        self._table = table
        self._plan = plan
        self._results_seen = 0

    def join(self) -> int:
        return self._table.join()

    def put(
        self, tasks: Iterable[Task], rank: int | None = None, *, offset: InputOffset | None = None
    ) -> None:
        self._table.put([_packed(task, rank) for task in tasks])

    def finish(
        self,
        pe: int,
        tasks: Iterable[tuple[Task, int | None]],
        orphans: Iterable[OrphanedReplica] = (),
    ) -> None:
        packed = [_packed(task, rank) for task, rank in tasks]
        self._table.put(packed, [(pe, orphan.replica) for orphan in orphans])

    def evict(
        self, rank: int, pins: Iterable[InstanceId], *, count_delivery: bool = True
    ) -> Eviction:
        given_back, replicas, at_work, starting = self._table.evict(
            rank, pins, count_delivery=count_delivery
        )
        return Eviction([_lease(packed) for packed in given_back], replicas, at_work, starting)

    def seconds_since_heartbeat(self) -> None:
        return None

    def queue_length(self, pe: int, instance: int) -> int:
        return self._table.queue_length((pe, instance))

    def load(self) -> Load:
        return self._table.load()

    def events(self, seconds: float) -> list[Event]:
        events: list[Event] = []
        for found in self._table.events(seconds):
            if isinstance(found, int):
                events.append(Quiescent(found))
                continue
            event: Results | LogLine | UndeclaredState | Notice = CODEC.loads(found)
            self._results_seen += isinstance(event, Results)
            events.append(event)
        return events

    def unfinished(self, watched: Iterable[int]) -> dict[int, int]:
        return self._table.unfinished(watched)

    def missing_results(self) -> int:
        return self._table.results_made - self._results_seen

    def replicas(self, pe: int) -> list[int]:
        return self._table.replicas(pe)

    def orphans(self, pe: int) -> list[OrphanedReplica]:
        return [OrphanedReplica(pe, replica) for replica in self._table.orphans(pe)]

    def stats(self) -> list[InstanceStats]:
        return [
            InstanceStats(self._plan.pes[pe].id, rank, calls, seconds)
            for pe, rank, calls, seconds in self._table.counters()
        ]

    def delete(self) -> None:
        self._table.close()


def _name(delivery: Delivery) -> InstanceId | int:
    return delivery.token if isinstance(delivery, Lease) else delivery


def _lease(packed: SerializedTask, token: int | None = None) -> Lease:
    task = remaining(CODEC.loads(packed.data), packed.position)
    return Lease(task, token, packed.position, packed.delivery_count)


def _packed(task: Task, rank: int | None = None) -> SerializedTask:
    place: InstanceId | int | None = rank
    if rank is None and task.instance != ANY:
        place = (task.pe, task.instance)
    return SerializedTask(place, task.pe if counts(task) else None, dumps(task))
