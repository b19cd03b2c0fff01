"""The workers of a run: which there are, which instances each owns, and who follows a lost one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Protocol

from d4py_dynamic.driver.limits import HEARTBEAT_SECONDS, LEASE_SECONDS, DriverLimits
from d4py_dynamic.store.protocols import RunStore
from d4py_dynamic.store.tasks import ANY, ASSIGN, REDELIVERIES, STOP, Pin, Task, pins_of
from dispel4py.engine.plan import Plan
from dispel4py.errors import D4pyError, WorkerLostError, WorkerStartError
from dispel4py.logs import get_logger
from dispel4py.processes.ending import name_threads
from dispel4py.processes.pool import EndWarning

_LOG = get_logger("supervisor")

#: What ends a worker that has done nothing wrong.
_FROM_OUTSIDE = ("killed by SIGKILL", "killed by SIGTERM")


class Workers(Protocol):
    """Worker processes, numbered from 0 in the order in which they were started."""

    def check(self) -> list[D4pyError]:
        """Return the errors that workers reported, and a `WorkerLostError` for each lost one."""

    def add(self, arguments: tuple[Any, ...]) -> None:
        """Start another one."""

    def kill(self, number: int) -> None:
        """End one, without a word of it from `check`."""

    def is_running(self, number: int) -> bool:
        """Return whether one is known to live and not to be stopped."""

    def finishing(self, number: int) -> list[str]:
        """Return the names of the threads for which one stays though its work is done."""

    def wait_until_ended(self, look: Callable[[], None], name: Callable[[int], str]) -> None:
        """Wait for all to end, however long; see `dispel4py.processes.pool.WorkerPool`."""


class WorkerSupervisor:
    """The workers, as the driver deals with them.

    Args:
        plan: the plan.
        store: the store; the workers have joined it.
        workers: the processes on this machine.
        ranks: their numbers in the store.
        orders: what to start another one with, given its number in the store.
        started: called when it was started.
        owners: which instances each worker owns at first; None deals them out evenly.
        lease: seconds after which a silent worker is given up.
        redeliveries: see `d4py_dynamic.store.tasks.REDELIVERIES`.
        skips: workers skip an item that is to blame; see `dispel4py.RunOptions`.
        former: workers of a driver that is dead; what they had is for those that there are now.
        limits: intervals and limits.

    Attributes:
        notes: what happened to workers, for the user.

    Raises:
        RunError: a former worker had something that only it had.
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
        lease: float = LEASE_SECONDS,
        redeliveries: int = REDELIVERIES,
        skips: bool = False,
        former: Sequence[int] = (),
        limits: DriverLimits = DriverLimits(),
    ) -> None:
        self._limits = limits
        self._plan = plan
        self._store = store
        self._workers = workers
        self._orders = orders
        self._started = started
        self._lease = lease
        self._redeliveries = redeliveries
        self._skips = skips
        self._ranks = list(ranks)
        self._started_at = [monotonic()] * len(ranks)
        self._false_starts = 0
        self._look_at = 0.0
        self.notes: list[str] = []
        self._gone: set[int] = set()
        self._quiet: set[int] = set()
        self._finishing: dict[int, list[str]] = {}
        self._dismissed = False
        self._pins_of: dict[int, list[Pin]] = {rank: [] for rank in ranks}
        self._unowned: list[Pin] = [] if owners else pins_of(plan)
        for rank, own in (owners or {}).items():
            self._assign(rank, own)
        for rank in former:
            self._give_up(rank, WorkerLostError(rank, 0, "its driver died"), blame=False)
        self._deal()

    @property
    def ranks(self) -> list[int]:
        """Numbers of the workers that there are."""
        return sorted(self._pins_of)

    def owns(self, rank: int) -> bool:
        """A worker owns an instance, so that it has work that nobody else can do."""
        return bool(self._pins_of.get(rank))

    def check(self) -> None:
        """See who has come and who is gone; replace those of this machine that are.

        Raises:
            RunError: a worker reported an error, or was lost with something that only it had.
        """
        for failure in self._workers.check():
            if not isinstance(failure, WorkerLostError):
                raise failure
            self._replace(failure.rank, self._as_ranked(failure))
        if monotonic() >= self._look_at:
            hasty = self._limits.join_poll_seconds
            self._look_at = monotonic() + (HEARTBEAT_SECONDS if self._pins_of else hasty)
            self._look_around()
        self._deal()

    def see_off(self, error: WorkerLostError, *, has_left: bool) -> None:
        """A worker elsewhere is gone.

        Args:
            error: which, and why.
            has_left: it was told to, and has left what it had to others.

        Raises:
            RunError: it was lost with something that only it had.
        """
        threads = self._finishing.pop(error.rank, None)
        if threads and not has_left:
            cause = f"{error.cause}, while {name_threads(threads)} still ran"
            raise WorkerLostError(error.rank, error.pid, cause)
        if not self._dismissed:
            self._give_up(error.rank, error, blame=not has_left)
            self._deal()
        else:
            self._note_end(error, has_ended=has_left)

    def _note_end(self, error: WorkerLostError, *, has_ended: bool) -> None:
        """Take note of the end of a worker that had nothing left to do."""
        if error.rank in self._gone:
            return
        self._gone.add(error.rank)
        self._pins_of.pop(error.rank, None)
        self._store.evict(error.rank, [], count_delivery=False)
        if not has_ended:
            self.notes.append(
                f"{error}, at the end of the run; no result is missing, but files that its PEs had"
                " not closed may be incomplete"
            )

    def finishing(self, rank: int, threads: list[str]) -> None:
        """Take note of a worker elsewhere that stays for threads though its work is done."""
        self._finishing[rank] = threads

    def dismiss(self, look: Callable[[], object]) -> None:
        """Let all workers end, and wait until they have, however long their threads take.

        Args:
            look: called meanwhile; takes in what workers report.

        Raises:
            RunError: a worker failed, or was lost while threads that a PE had started still ran.
        """
        self._look_around()
        self._dismissed = True
        for rank in self._pins_of:
            self._store.put([Task(STOP, ANY)], rank)

        def attend() -> None:
            look()
            self.check()

        self._workers.wait_until_ended(attend, lambda number: f"worker {self._ranks[number]}")
        warning = EndWarning()
        while elsewhere := self._pins_of.keys() - set(self._ranks):
            attend()
            warning.look((f"worker {i}", self._finishing.get(i, ())) for i in sorted(elsewhere))

    def _look_around(self) -> None:
        """Who has joined or fallen silent elsewhere?"""
        silent = self._store.seconds_since_heartbeat()
        if silent is None:
            return
        known = self._pins_of.keys() | self._gone
        for rank in silent.keys() - known:
            self._pins_of[rank] = []
            _LOG.info("worker %d joined", rank)
            if self._dismissed:
                self._store.put([Task(STOP, ANY)], rank)
        for rank, seconds in silent.items():
            if self._dismissed and rank in self._ranks:
                continue  # it may have ended; its process is watched
            if seconds > self._lease:
                self._deal_with_silent(rank, seconds)

    def _deal_with_silent(self, rank: int, seconds: float) -> None:
        """Give a worker up that has given no sign of life for longer than the lease.

        Not so a process of this machine that runs, as the system sees it: it is about to start on a
        busy machine, or in a call that keeps Python's lock, for which its sign of life waits.
        """
        error = WorkerLostError(rank, 0, f"no heartbeat for {seconds:.0f} s")
        if rank not in self._ranks:
            self.see_off(error, has_left=False)
            return
        number = self._ranks.index(rank)
        if not self._workers.is_running(number):
            self._workers.kill(number)
            self._replace(number, error)
        elif rank not in self._quiet:
            self._quiet.add(rank)
            _LOG.info(
                "worker %d has sent no heartbeat for %.0f s, but its process runs: waiting for"
                " what it does, such as a call that keeps Python's lock (GIL)",
                *(rank, seconds),
            )

    def _deal(self) -> None:
        """Give every instance without an owner to whoever has fewest."""
        while self._unowned and self._pins_of:
            heir = min(self._pins_of, key=lambda rank: (len(self._pins_of[rank]), rank))
            self._assign(heir, [self._unowned.pop(0)])

    def _assign(self, rank: int, pins: Sequence[Pin]) -> None:
        self._pins_of[rank] += pins
        self._store.put([Task(ASSIGN, pe, instance) for pe, instance in pins], rank)

    def _as_ranked(self, error: WorkerLostError) -> WorkerLostError:
        return type(error)(self._ranks[error.rank], error.pid, error.cause)

    def _replace(self, number: int, error: WorkerLostError) -> None:
        """Start another process in place of one that is gone."""
        if self._workers.finishing(number):
            raise error
        if self._dismissed:
            self._note_end(error, has_ended=False)
            return
        has_worked = self._give_up(error.rank, error)
        self._count_false_starts(number, error, has_worked=has_worked)
        rank = self._store.join()
        self._ranks.append(rank)
        self._started_at.append(monotonic())
        self._pins_of[rank] = []
        self._workers.add(self._orders(rank))
        self._started()

    def _count_false_starts(self, number: int, error: WorkerLostError, *, has_worked: bool) -> None:
        at_start = monotonic() - self._started_at[number] < self._limits.start_seconds
        never_began = isinstance(error, WorkerStartError)
        by_itself = at_start and not has_worked and error.cause not in _FROM_OUTSIDE
        false_start = never_began or by_itself
        self._false_starts = self._false_starts + 1 if false_start else 0
        if self._false_starts >= self._limits.failed_starts:
            raise error

    def _give_up(self, rank: int, error: WorkerLostError, *, blame: bool = True) -> bool:
        """Let others have what a worker had; says whether it had anything.

        Raises:
            WorkerLostError: only it had something, or it was the last of some that one item has
                killed.
        """
        if rank in self._gone:
            return False
        self._gone.add(rank)
        pins = self._pins_of.pop(rank, [])  # it may have come and gone between two looks
        lost = self._store.evict(rank, pins, count_delivery=blame)
        for pe in lost.replicas:
            if self._plan.pes[pe].has_postprocess:
                raise _lost_for_good(
                    error, f"{self._plan.pes[pe].id}, with what its postprocess would have told"
                )
        for lease in lost.leases:
            pe_id = self._plan.pes[lease.task.pe].id
            if lease.position.sent is None:
                raise _lost_for_good(error, f"{pe_id}, in a call that had sent too much already")
        suspects = [(lease.task.pe, ANY, lease.delivery_count) for lease in lost.leases]
        suspects += [(*pin, losses) for pin, losses in lost.pins]
        for pe, instance, losses in suspects:
            if losses > self._redeliveries and (lost.starting or not self._skips):
                at = self._plan.pes[pe].id + (f" (instance {instance})" if instance != ANY else "")
                ran = f"{at}, as {losses - 1} workers before it that died"
                raise type(error)(error.rank, error.pid, error.cause, ran)
        self._unowned += pins
        if blame:
            self.notes.append(f"{error}; other workers continued its work")
        else:
            _LOG.info("worker %d left", rank)
        return bool(suspects or lost.replicas)


def _lost_for_good(error: WorkerLostError, what: str) -> WorkerLostError:
    return type(error)(error.rank, error.pid, error.cause, f"{what}; this cannot be done again")
