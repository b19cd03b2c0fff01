"""The task loop: a worker that takes leases from a task store until it is told to stop.

An item that no place is fixed for is followed down the graph here, in this process, to the end of
its path; that costs nothing per hop.  Only while other workers are hungry is work handed back to
the store, in pieces.  What a lease has produced is committed together with its end.

The loop knows nothing of Redis; whatever keeps the rules of `TaskStore` will do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from time import monotonic, sleep
from typing import Any

from d4py_dynamic.outbox import Outbox
from d4py_dynamic.store import TaskStore
from d4py_dynamic.tasks import ANY, CALLS, FINISH, STOP, Commit, Lease, Pin, Task, is_pinned
from dispel4py.errors import ItemError
from dispel4py.executor import DEEPEST_NESTING, Executor
from dispel4py.inputs import calls
from dispel4py.isolation import copy_item, share_item
from dispel4py.plan import Ancestors, Plan
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
        pins: Sequence[Pin],
        on_error: str = "stop",
        share_items: bool = False,
    ) -> None:
        self._plan = plan
        self._store = store
        self._pins = list(pins)
        self._pinned = [is_pinned(pe) for pe in plan.pes]
        self._upstream = Ancestors(plan)
        self._position = {pe: i for i, pe in enumerate(plan.order)}
        self._outbox = Outbox()
        self._taken: deque[Lease] = deque()
        self._in_hand: list[int] = []
        self._overfull: set[Pin] = set()
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

    def _next_lease(self, only: Sequence[Pin] | None = None) -> Lease | None:
        """The oldest lease, of some pinned instances alone if they are given."""
        lease = self._first_taken(only)
        if lease is None:
            self._taken += self._store.take(only)
            lease = self._first_taken(only)
        return lease

    def _first_taken(self, only: Sequence[Pin] | None) -> Lease | None:
        for i, lease in enumerate(self._taken):
            if only is None or (lease.task.pe, lease.task.instance) in only:
                del self._taken[i]
                return lease
        return None

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
            self._in_hand.pop()
            self._commit([lease])
        finally:
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
        try:
            pressure = self._store.commit(commit)
        except ItemError as error:
            raise ItemError(f"an item on its way {_ways(self._plan, commit)}: {error}") from error
        self._hungry = pressure.hungry
        self._committed_at = self._looked_up_at = monotonic()
        self._overfull.update(pressure.full)
        if not self._in_hand:
            self._wait_for_room(self._overfull, pressure.results_full)
        elif not leases and len(self._in_hand) < DEEPEST_NESTING:
            self._wait_for_room(set(pressure.full), pressure.results_full)
        # Else a lease has ended that was done while another one waits, which sees to it.

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
                if self._plan.pes[pe].has_preprocess or self._plan.pes[pe].has_postprocess:
                    commit.replicas.append(pe)

    def _wait_for_room(self, awaited: set[Pin], results_full: bool) -> None:
        """Pause until receivers have caught up, doing what this worker owns meanwhile.

        Nobody waits for ever.  Of all overfull instances take the one furthest down the graph.  It
        is not upstream of another one.  Whatever its owner has in hand is further up: it was begun
        in that order, and the last of it waits for something further down than itself.  So the
        owner, if it waits too, does its tasks here.
        """
        if not awaited and not results_full:
            return
        pause = _PAUSE_SECONDS
        while True:
            pressure = self._store.pressure(tuple(self._overfull))
            self._overfull.intersection_update(pressure.full)
            no_room = not self._overfull.isdisjoint(awaited)
            if not no_room and not pressure.results_full:
                return
            lease = self._next_lease(self._startable()) if no_room else None
            if lease is not None:
                self._do(lease)
                pause = _PAUSE_SECONDS
            else:
                sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _startable(self) -> list[Pin]:
        """Own instances that may be worked on while others are overfull.

        They are not upstream of those, and further down the graph than all that is in hand.
        """
        upstream = frozenset[int]().union(*(self._upstream[pe] for pe, _ in self._overfull))
        deepest = max((self._position[pe] for pe in self._in_hand), default=-1)
        return [
            (pe, instance)
            for pe, instance in self._pins
            if self._position[pe] > deepest
            and pe not in upstream
            and not self._plan.pes[pe].is_root
        ]


def _ways(plan: Plan, commit: Commit) -> str:
    """Where the items of a commit are going."""
    to = {f"to {plan.pes[task.pe].id}" for task in commit.tasks}
    out_of = {f"out of {pe_id}" for pe_id, _, _ in commit.results}
    return " or ".join(sorted(to | out_of))
