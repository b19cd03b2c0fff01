"""The task loop: a worker that takes leases from a task store until it is told to stop.

An item that no place is fixed for is followed down the graph here, in this process, to the end of
its path; that costs nothing per hop.  Only while other workers are hungry is work handed back to
the store, in pieces.  What a lease has produced is committed together with its end.

The loop knows nothing of Redis; whatever keeps the rules of `TaskStore` will do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from itertools import islice
from time import monotonic, sleep
from typing import Any

from d4py_dynamic.outbox import Outbox
from d4py_dynamic.store import TaskStore
from d4py_dynamic.tasks import ANY, CALLS, FINISH, STOP, Commit, Lease, Task, is_pinned
from dispel4py.executor import Executor
from dispel4py.inputs import calls
from dispel4py.isolation import copy_item, share_item
from dispel4py.plan import Plan, ancestors
from dispel4py.result import Failure
from dispel4py.runner import raise_error

#: How often a worker in the middle of a lease looks whether others are hungry, in seconds.
LOOK_UP_SECONDS = 0.02
#: How long what it produced may wait for a commit, in seconds.
COMMIT_SECONDS = 0.2
#: Shortest and longest pause of a sender between two looks whether there is room again, in seconds.
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.001, 0.02


class Worker:
    """Runs tasks.

    Args:
        plan: the plan; shared PEs have one instance in it.
        store: where tasks come from.
        rank: number of this worker.
        pins: the pinned instances that this worker owns.
        on_error: ``"stop"`` or ``"skip"``.
        share_items: see `dispel4py.RunOptions`.
    """

    def __init__(
        self,
        plan: Plan,
        store: TaskStore,
        rank: int,
        pins: Sequence[tuple[int, int]],
        on_error: str = "stop",
        share_items: bool = False,
    ) -> None:
        self._plan = plan
        self._store = store
        self._pins = list(pins)
        self._pinned = [is_pinned(pe) for pe in plan.pes]
        self._upstream = ancestors(plan)
        self._outbox = Outbox()
        self._taken: deque[Lease] = deque()
        self._in_hand: list[int] = []
        self._overfull: set[tuple[int, int]] = set()
        self._hungry = 0
        self._giving = False
        self._looked_up_at = self._committed_at = monotonic()
        self._counted: dict[int, tuple[int, float]] = {}
        self._told: set[int] = set()
        self._executor = Executor(
            plan,
            self,
            is_local=self._is_local,
            rank=rank,
            isolate=share_item if share_items else copy_item,
            on_error=raise_error if on_error == "stop" else self._skip,
            log=store.log,
            between=self._between,
            one_by_one=False,
        )

    def serve(self) -> None:
        """Take and do tasks until one says stop.

        Raises:
            ProcessingError: a PE raised, and `on_error` says to stop.
            ServiceError: the store failed.
        """
        while True:
            lease = self._next_lease()
            if lease is None:
                continue
            if lease.task.kind == STOP:
                return
            self._do(lease)
            if self._overfull:
                self._wait_for_room(self._overfull)

    # What the executor calls: `Exits` and its hooks.

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        """See `dispel4py.executor.Exits`."""
        self._outbox.add_items(pe, instance if self._pinned[pe] else ANY, input_name, items)

    def result(self, pe_id: str, output: str, items: list[Any]) -> None:
        """See `dispel4py.executor.Exits`."""
        self._outbox.add_results(pe_id, output, items)

    def _skip(self, error: Any, item: Any) -> None:
        self._outbox.add_failure(Failure(error, item))

    def _is_local(self, pe: int, instance: int) -> bool:
        """An item for this PE is followed here; never into a PE that is in the middle of a call."""
        return not (
            self._pinned[pe]
            or self._giving
            or (self._executor.in_call and pe in self._executor.pes_in_call)
        )

    def _between(self) -> bool:
        """Between two batches: is it time to look up?"""
        if not self._outbox.heavy and monotonic() - self._looked_up_at < LOOK_UP_SECONDS:
            return False
        if self._executor.in_call:
            self._look_up()
            return False
        return True

    # One lease.

    def _next_lease(self, only: Collection[tuple[int, int]] | None = None) -> Lease | None:
        """The oldest lease there is, or the oldest for some pinned instances."""
        if not self._taken or only is not None:
            self._taken += self._store.take(only) if not self._first_taken(only) else ()
        lease = self._first_taken(only)
        if lease is not None:
            self._taken.remove(lease)
        return lease

    def _do(self, lease: Lease) -> None:
        task = lease.task
        outer, self._outbox = self._outbox, Outbox()
        self._in_hand.append(task.pe)
        if monotonic() - self._looked_up_at >= LOOK_UP_SECONDS:
            self._look_at_hungry()
        # A root or a stateful instance cannot move, so it gives its followers away at once;
        # anything else stays with its followers until it turns out to take long.
        self._giving = self._hungry > 0 and task.instance != ANY
        try:
            with self._executor.aside():
                if task.kind == CALLS:
                    self._call(task)
                elif task.kind == FINISH:
                    self._executor.finish(task.pe, max(task.instance, 0))
                    self._drain(may_stop=False)
                else:
                    instance = max(task.instance, 0)
                    self._executor.push(task.pe, instance, task.input_name or "", task.load)
                    self._drain(may_stop=task.instance == ANY)
                self._commit([lease])
        finally:
            self._in_hand.pop()
            self._outbox = outer

    def _call(self, task: Task) -> None:
        """Call a root for a while; the calls that are left become a task."""
        load, root = task.load, self._plan.pes[task.pe]
        remaining = load if isinstance(load, int) else len(load)
        iterator = calls(root, load)
        made = 0

        def counted() -> Any:
            nonlocal made
            for call in iterator:
                made += 1
                yield call

        source = counted()
        self._executor.start(task.pe, 0)
        while made < remaining:
            self._executor.call_root(task.pe, source)
            if self._outbox.heavy or monotonic() - self._looked_up_at >= LOOK_UP_SECONDS:
                self._look_up()
                break
        self._drain(may_stop=False)
        if made < remaining:
            left = remaining - made if isinstance(load, int) else list(islice(iterator, remaining))
            self._outbox.add_task(task._replace(load=left))

    def _drain(self, *, may_stop: bool) -> None:
        """Run what waits here to its end, or hand it back where others are hungry.

        Args:
            may_stop: what waits may become tasks of its own, so that the lease can end now.
        """
        while not self._executor.drain():
            if may_stop and (
                self._outbox.heavy
                or self._look_at_hungry()
                or monotonic() - self._committed_at > COMMIT_SECONDS
            ):
                self._hand_back()
                return
            self._look_up()

    def _look_up(self) -> None:
        """In the middle of a lease: feed the hungry, and let results flow."""
        hungry = self._look_at_hungry()
        if hungry:
            self._hand_back()
        if hungry or self._outbox.heavy or monotonic() - self._committed_at > COMMIT_SECONDS:
            self._commit([])

    def _look_at_hungry(self) -> int:
        self._hungry = self._store.pressure().hungry
        self._giving = self._hungry > 0
        self._looked_up_at = monotonic()
        return self._hungry

    def _hand_back(self) -> None:
        """Make what waits here tasks that any worker can take."""
        for pe, _, input_name, items in self._executor.take_waiting(lambda pe: self._pinned[pe]):
            self._outbox.add_items(pe, ANY, input_name, items)

    def _commit(self, leases: list[Lease]) -> None:
        commit = self._outbox.take(leases, self._hungry)
        self._add_counts(commit)
        pressure = self._store.commit(commit)
        self._hungry = pressure.hungry
        self._committed_at = self._looked_up_at = monotonic()
        if pressure.full or pressure.results_full:
            self._wait_for_room(pressure.full)

    def _add_counts(self, commit: Commit) -> None:
        """What was done since the last commit, and which replicas there are now."""
        for pe, entry in self._executor.stats_by_pe():
            counted = self._counted.get(id(entry), (0, 0.0))
            if entry.items > counted[0]:
                calls, seconds = entry.items - counted[0], entry.seconds - counted[1]
                commit.counters.append((pe, calls, seconds))
                self._counted[id(entry)] = (entry.items, entry.seconds)
            if pe not in self._told and not self._pinned[pe]:
                self._told.add(pe)
                if self._plan.pes[pe].has_postprocess:
                    commit.replicas.append(pe)

    def _wait_for_room(self, full: tuple[tuple[int, int], ...]) -> None:
        """Pause until receivers have caught up, working on what this worker owns meanwhile.

        Nobody waits for ever: of all instances that somebody waits for, take the one furthest
        down the graph.  Its owner is not in the middle of it (it would be waiting for one further
        down), and it is not upstream of what its owner waits for; so its owner works on it here.
        """
        upstream = set[int]().union(*(self._upstream[pe] for pe, _ in full))
        may_do = [
            (pe, instance)
            for pe, instance in self._pins
            if pe not in upstream and pe not in self._in_hand and not self._plan.pes[pe].is_root
        ]
        while True:
            pressure = self._store.pressure(full)
            if not pressure.full and not pressure.results_full:
                return
            leases = self._store.take(only=may_do) if pressure.full and may_do else []
            for lease in leases:
                self._do(lease)
            if not leases:
                sleep(_PAUSE_SECONDS)
