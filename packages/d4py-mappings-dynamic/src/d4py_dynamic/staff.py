"""The workers of a run: which there are, which instances each owns, and who follows a lost one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Protocol

from d4py_dynamic.store import RunStore
from d4py_dynamic.tasks import ANY, MOST_LOSSES, OWN, STOP, Pin, Task, pins_of
from dispel4py.errors import WorkerLostError
from dispel4py.plan import Plan

#: Workers in a row that may end by themselves, in less than so many seconds and without having
#: taken anything, before we give up.
_MOST_FALSE_STARTS, _START_SECONDS = 3, 2.0
#: What ends a worker that has done nothing wrong.
_FROM_OUTSIDE = ("killed by SIGKILL", "killed by SIGTERM")


class Workers(Protocol):
    """Worker processes, numbered from 0 in the order in which they were started."""

    def check(self) -> None:
        """Raise what a worker reported, or `WorkerLostError` for each that was lost, once."""

    def add(self, arguments: tuple[Any, ...]) -> None:
        """Start another one."""

    def join(self, seconds: float) -> bool:
        """Wait for all to end; False if some have not."""


class Staff:
    """The workers, as the driver deals with them.

    Args:
        plan: the plan.
        store: the store; the workers have joined it.
        workers: the processes on this machine.
        ranks: their numbers in the store.
        orders: what to start another one with, given its number in the store.
        started: called when it was started.
        owners: which instances each worker owns at first; None deals them out evenly.

    Attributes:
        notes: what happened to workers, for the user.
    """

    def __init__(
        self,
        plan: Plan,
        store: RunStore,
        workers: Workers,
        ranks: Sequence[int],
        orders: Callable[[int], tuple[Any, ...]],
        started: Callable[[], None],
        owners: Mapping[int, Sequence[Pin]] | None = None,
    ) -> None:
        self._plan = plan
        self._store = store
        self._workers = workers
        self._orders = orders
        self._started = started
        self._ranks = list(ranks)
        self._started_at = [monotonic()] * len(ranks)
        self._false_starts = 0
        self.notes: list[str] = []
        self._pins_of: dict[int, list[Pin]] = {rank: [] for rank in ranks}
        if owners is None:
            pins = pins_of(plan)
            owners = {rank: pins[i :: len(ranks)] for i, rank in enumerate(ranks)}
        for rank, own in owners.items():
            self._assign(rank, own)

    @property
    def ranks(self) -> list[int]:
        """Numbers of the workers that there are."""
        return sorted(self._pins_of)

    def check(self) -> None:
        """See that all workers live; replace those that do not.

        Raises:
            RunError: a worker reported an error, or was lost with something that only it had.
        """
        while True:
            try:
                self._workers.check()
                return
            except WorkerLostError as error:
                self._replace(error)

    def tell_all(self, kind: str) -> None:
        """Give an order to every worker."""
        for rank in self._pins_of:
            self._store.put([Task(kind, ANY)], rank)

    def dismiss(self, seconds: float) -> None:
        """Let all workers end, and wait for so long."""
        self.tell_all(STOP)
        if not self._workers.join(seconds):
            self.notes.append("some workers did not end by themselves and were killed")

    def _assign(self, rank: int, pins: Sequence[Pin]) -> None:
        self._pins_of[rank] += pins
        self._store.put([Task(OWN, pe, instance) for pe, instance in pins], rank)

    def _replace(self, error: WorkerLostError) -> None:
        number = error.rank
        rank = self._ranks[number]
        pins = self._pins_of.pop(rank)
        self._see_what_is_lost(rank, pins, error)
        self.notes.append(f"{error}; others went on with its work")
        new = self._store.join()
        self._ranks.append(new)
        self._started_at.append(monotonic())
        self._pins_of[new] = []
        self._workers.add(self._orders(new))
        self._started()
        for pin in pins:  # to whoever has fewest
            heir = min(self._pins_of, key=lambda rank: len(self._pins_of[rank]))
            self._assign(heir, [pin])

    def _see_what_is_lost(self, rank: int, pins: Sequence[Pin], error: WorkerLostError) -> None:
        lost = self._store.lose(rank, pins)
        for pe in lost.replicas:
            if self._plan.pes[pe].has_postprocess:
                raise _lost_for_good(
                    error, f"{self._plan.pes[pe].id}, with what its postprocess would have told"
                )
        for lease in lost.leases:
            pe_id = self._plan.pes[lease.task.pe].id
            if lease.position.sent is None:
                raise _lost_for_good(error, f"{pe_id}, in a call that had sent too much already")
        suspects = [(lease.task.pe, ANY, lease.losses) for lease in lost.leases]
        suspects += [(*pin, losses) for pin, losses in lost.pins]
        to_blame = [
            self._plan.pes[pe].id + (f" (instance {instance})" if instance != ANY else "")
            for pe, instance, losses in suspects
            if losses >= MOST_LOSSES
        ]
        if to_blame:
            ran = f"{' or '.join(to_blame)}, as {MOST_LOSSES - 1} workers before it that died"
            raise WorkerLostError(error.rank, error.pid, error.cause, ran)
        self._see_whether_it_began(error, bool(suspects or lost.replicas))

    def _see_whether_it_began(self, error: WorkerLostError, has_worked: bool) -> None:
        at_start = monotonic() - self._started_at[error.rank] < _START_SECONDS
        false_start = at_start and not has_worked and error.cause not in _FROM_OUTSIDE
        self._false_starts = self._false_starts + 1 if false_start else 0
        if self._false_starts >= _MOST_FALSE_STARTS:
            raise error


def _lost_for_good(error: WorkerLostError, what: str) -> WorkerLostError:
    return WorkerLostError(error.rank, error.pid, error.cause, f"{what}; this cannot be done again")
