"""`RunStore` on an `InMemoryStore`: the driver's side, which serializes tasks."""

from __future__ import annotations

from collections.abc import Iterable

from d4py_dynamic.store.memory.store import InMemoryStore
from d4py_dynamic.store.memory.task_store import deserialize, serialize
from d4py_dynamic.store.protocols import (
    Event,
    InputOffset,
    Load,
    OrphanedReplica,
    Quiescent,
    Results,
)
from d4py_dynamic.store.serialization import loads_named
from d4py_dynamic.store.task_pickles import TaskCodec
from d4py_dynamic.store.tasks import Eviction, InstanceId, Task, is_pinned
from dispel4py.engine.planning.plan import Plan
from dispel4py.result import InstanceStats


class InMemoryRunStore:
    """See `RunStore`.

    Args:
        store: the store.
        plan: the plan.
        codec: unpickles what workers have put there.
    """

    def __init__(self, store: InMemoryStore, plan: Plan, codec: TaskCodec | None = None) -> None:
        self._store = store
        self._codec = codec or TaskCodec()
        self._plan = plan
        self._results_seen = 0

    def join(self) -> int:
        return self._store.join()

    def put(self, tasks: Iterable[Task], rank: int | None = None) -> None:
        self._store.put([serialize(task, rank) for task in tasks])

    def feed(self, tasks: Iterable[Task], offset: InputOffset, limit: int) -> bool:
        root = offset.root
        place = (root, 0) if is_pinned(self._plan.pes[root]) else None
        return self._store.feed([serialize(task) for task in tasks], root, place, limit)

    def wait_for_room(self, root: int, seconds: float) -> bool:
        return self._store.wait_for_room(root, seconds)

    def finish(
        self,
        pe: int,
        tasks: Iterable[tuple[Task, int | None]],
        orphans: Iterable[OrphanedReplica] = (),
    ) -> None:
        serialized = [serialize(task, rank) for task, rank in tasks]
        self._store.put(serialized, [(pe, orphan.replica) for orphan in orphans])

    def evict(
        self, rank: int, pins: Iterable[InstanceId], *, count_delivery: bool = True
    ) -> Eviction:
        evicted = self._store.evict(rank, pins, count_delivery=count_delivery)
        leases = [deserialize(task, self._codec) for task in evicted.tasks]
        return Eviction(leases, evicted.replicas, evicted.pins, evicted.starting)

    def seconds_since_heartbeat(self) -> None:
        return None

    def queue_length(self, pe: int, instance: int) -> int:
        return self._store.queue_length((pe, instance))

    def load(self) -> Load:
        return self._store.load()

    def events(self, seconds: float) -> list[Event]:
        events: list[Event] = []
        for found in self._store.events(seconds):
            if isinstance(found, int):
                events.append(Quiescent(found))
                continue
            event: Event = loads_named(found)
            self._results_seen += isinstance(event, Results)
            events.append(event)
        return events

    def unfinished(self, watched: Iterable[int]) -> dict[int, int]:
        return self._store.unfinished(watched)

    def missing_results(self) -> int:
        return self._store.result_batches - self._results_seen

    def replicas(self, pe: int) -> list[int]:
        return self._store.replicas(pe)

    def orphans(self, pe: int) -> list[OrphanedReplica]:
        return [OrphanedReplica(pe, replica) for replica in self._store.orphans(pe)]

    def stats(self) -> list[InstanceStats]:
        return [
            InstanceStats(self._plan.pes[pe].id, rank, calls, seconds)
            for pe, rank, calls, seconds in self._store.counters()
        ]

    def delete(self) -> None:
        self._store.close()
