"""The supervisor of a run's workers: replaces those that are lost, and shuts all of them down.

Workers of this machine are processes that the supervisor starts and watches.  Remote workers join
and leave by themselves; the store has their heartbeats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isinf
from time import monotonic
from typing import Any, Protocol

from d4py_dynamic.driver.instance_owners import InstanceOwners
from d4py_dynamic.driver.limits import HEARTBEAT_SECONDS, LEASE_SECONDS, DriverLimits
from d4py_dynamic.driver.losses import Loss, StartFailures
from d4py_dynamic.store.protocols import RunStore
from d4py_dynamic.store.tasks import ANY, REDELIVERIES, STOP, InstanceId, Task, pins_of
from dispel4py.engine.planning.plan import Plan
from dispel4py.engine.run_events import RunEvents
from dispel4py.errors import D4pyError, WorkerLostError
from dispel4py.logs import get_logger
from dispel4py.processes.user_code_thread import describe_threads
from dispel4py.processes.workers.shutdown_watch import ShutdownWatch

_LOG = get_logger("supervisor")


class WorkerProcesses(Protocol):
    """Worker processes, numbered from 0 in the order in which they were started."""

    def check(self) -> list[D4pyError]:
        """Return the errors that workers reported, and a `WorkerLostError` for each lost one."""

    def add(self, arguments: tuple[Any, ...]) -> None:
        """Start another process."""

    def kill(self, number: int) -> None:
        """End a process without its being reported by `check`."""

    def is_running(self, number: int) -> bool:
        """Return whether a process is known to live and not to be stopped."""

    def finishing(self, number: int) -> list[str]:
        """Return the names of the threads for which a process stays though its work is done."""

    def wait_until_ended(self, look: Callable[[], None], name: Callable[[int], str]) -> None:
        """Wait until all have ended; see `dispel4py.processes.workers.pool.WorkerPool`."""


class WorkerSupervisor:
    """Keeps the list of the workers of a run, and replaces those that are lost.

    Args:
        plan: the plan.
        store: the store; the workers have joined it.
        processes: the worker processes of this machine.
        ranks: their numbers in the store.
        worker_arguments: returns what another process is started with, given its number in the
            store.
        on_started: called when another process was started.
        owners: which instances each worker owns at first; None assigns them evenly.
        lease: seconds without a heartbeat after which a worker counts as lost.
        redeliveries: see `d4py_dynamic.store.tasks.REDELIVERIES`.
        skips: workers skip an item that is delivered too often; see `dispel4py.RunOptions`.
        former: workers of a dead driver; the present ones continue their work.
        limits: intervals and limits.
        events: gets the losses of workers.

    Attributes:
        notes: what happened to workers, for the user.

    Raises:
        RunError: a former worker had something that cannot be replaced.
    """

    def __init__(
        self,
        plan: Plan,
        store: RunStore,
        processes: WorkerProcesses,
        ranks: Sequence[int],
        worker_arguments: Callable[[int], tuple[Any, ...]],
        on_started: Callable[[], None],
        owners: Mapping[int, Sequence[InstanceId]] | None = None,
        lease: float = LEASE_SECONDS,
        redeliveries: int = REDELIVERIES,
        skips: bool = False,
        former: Sequence[int] = (),
        limits: DriverLimits = DriverLimits(),
        events: RunEvents | None = None,
    ) -> None:
        self._events = events or RunEvents()
        self._plan = plan
        self._store = store
        self._processes = processes
        self._worker_arguments = worker_arguments
        self._on_started = on_started
        self._lease = lease
        self._redeliveries = redeliveries
        self._skips = skips
        self._limits = limits
        self.notes: list[str] = []
        self._local_ranks = list(ranks)
        self._start_failures = StartFailures(limits)
        self._start_failures.started(len(ranks))
        self._heartbeat_check_at = 0.0
        self._ended: set[int] = set()
        self._late: set[int] = set()
        self._stopping: dict[int, list[str]] = {}
        self._is_shutting_down = False
        self._owners = InstanceOwners(store, [] if owners else pins_of(plan))
        for rank in ranks:
            self._owners.add_worker(rank)
        for rank, pins in (owners or {}).items():
            self._owners.assign(rank, pins)
        for rank in former:
            self._evict(WorkerLostError(rank, 0, "its driver died"), failed=False)
        self._owners.assign_unowned()

    @property
    def ranks(self) -> list[int]:
        """Numbers of the workers that there are."""
        return sorted(self._owners.ranks)

    def owns(self, rank: int) -> bool:
        """Return whether a worker owns an instance, so that it has work of its own to do."""
        return self._owners.owns(rank)

    def check(self) -> None:
        """Take note of workers that have joined or are lost, and replace those of this machine.

        Raises:
            RunError: a worker reported an error, or was lost with what cannot be replaced.
        """
        for failure in self._processes.check():
            if not isinstance(failure, WorkerLostError):
                raise failure
            self._replace(failure.rank, self._with_rank(failure))
        if monotonic() >= self._heartbeat_check_at:
            poll_seconds = self._limits.join_poll_seconds
            interval = HEARTBEAT_SECONDS if self._owners.ranks else poll_seconds
            self._heartbeat_check_at = monotonic() + interval
            self._check_heartbeats()
        self._owners.assign_unowned()

    def on_worker_exited(self, error: WorkerLostError, *, drained: bool) -> None:
        """Take note that a remote worker has ended.

        Args:
            error: which worker, and why.
            drained: the worker has returned its work to the run before.

        Raises:
            RunError: it was lost with what cannot be replaced.
        """
        threads = self._stopping.pop(error.rank, None)
        if threads and not drained:
            cause = f"{error.cause}, while {describe_threads(threads)} still ran"
            raise WorkerLostError(error.rank, error.pid, cause)
        if self._is_shutting_down:
            self._note_end(error, has_failed=not drained)
        else:
            self._evict(error, failed=not drained)
            self._owners.assign_unowned()

    def on_worker_stopping(self, rank: int, threads: list[str]) -> None:
        """Take note of a remote worker that waits for threads though its work is done."""
        self._stopping[rank] = threads

    def shutdown(self, take_events: Callable[[float], object]) -> None:
        """Let all workers end, and wait until they have, however long their threads take.

        Args:
            take_events: called meanwhile; processes the store's events, for which it waits up to
                so many seconds.

        Raises:
            RunError: a worker failed, or was lost while threads that a PE had started still ran.
        """
        self._check_heartbeats()
        self._is_shutting_down = True
        for rank in self._owners.ranks:
            self._store.put([Task(STOP, ANY)], rank)

        def poll(seconds: float = 0.0) -> None:
            take_events(seconds)
            self.check()

        self._processes.wait_until_ended(poll, lambda number: f"worker {self._local_ranks[number]}")
        warning = ShutdownWatch()
        while remote := self._owners.ranks - set(self._local_ranks):
            poll(self._limits.tick_seconds)  # their ends are events
            warning.check((f"worker {i}", self._stopping.get(i, ())) for i in sorted(remote))

    def _check_heartbeats(self) -> None:
        """Take in remote workers that have joined, and evict workers whose lease is over."""
        ages = self._store.seconds_since_heartbeat()
        if ages is None:
            return
        for rank in ages.keys() - (self._owners.ranks | self._ended):
            self._owners.add_worker(rank)
            _LOG.info("worker %d joined", rank)
            if self._is_shutting_down:
                self._store.put([Task(STOP, ANY)], rank)
        for rank, seconds in ages.items():
            if self._is_shutting_down and rank in self._local_ranks:
                continue  # it may have ended; its process is watched
            if seconds > self._lease:
                self._end_lease(rank, seconds)

    def _end_lease(self, rank: int, seconds: float) -> None:
        """Replace a worker that has sent no heartbeat for longer than the lease.

        A process of this machine that runs, as the operating system sees it, is kept: it is
        starting on a busy machine, or in a call that holds Python's lock, which its heartbeat
        needs too.
        """
        silence = f"no heartbeat for {seconds:.0f} s"
        if isinf(seconds):
            silence = "its connection to the server was closed"
        error = WorkerLostError(rank, 0, silence)
        if rank not in self._local_ranks:
            self.on_worker_exited(error, drained=False)
            return
        number = self._local_ranks.index(rank)
        if not self._processes.is_running(number):
            self._processes.kill(number)
            self._replace(number, error)
        elif rank not in self._late:
            self._late.add(rank)
            _LOG.info(
                "worker %d: %s, but its process runs: waiting for what it does, such as a call that"
                " keeps Python's lock (GIL)",
                *(rank, silence),
            )

    def _with_rank(self, error: WorkerLostError) -> WorkerLostError:
        """Return the error with the worker's number in the store, not that of its process."""
        return type(error)(self._local_ranks[error.rank], error.pid, error.cause)

    def _replace(self, number: int, error: WorkerLostError) -> None:
        """Start another process in place of one that is lost."""
        if self._processes.finishing(number):
            raise error
        if self._is_shutting_down:
            self._note_end(error, has_failed=True)
            return
        loss = self._evict(error)
        if loss is not None:
            self._start_failures.add_loss(number, loss)
        rank = self._store.join()
        self._local_ranks.append(rank)
        self._start_failures.started()
        self._owners.add_worker(rank)
        self._processes.add(self._worker_arguments(rank))
        self._on_started()
        self._events.worker_lost(error, rank)

    def _evict(self, error: WorkerLostError, *, failed: bool = True) -> Loss | None:
        """Let other workers have what a worker held; it can commit nothing from now on.

        Args:
            error: which worker, and why.
            failed: the worker may have failed because of what it held.

        Returns:
            What it held; None if it was evicted before.

        Raises:
            WorkerLostError: the run cannot go on.
        """
        rank = error.rank
        if rank in self._ended:
            return None
        self._ended.add(rank)
        pins = self._owners.remove_worker(rank)  # none if it has joined since the last check
        loss = Loss(error, self._store.evict(rank, pins, count_delivery=failed))
        fatal = loss.fatal_error(self._plan, self._redeliveries, skips=self._skips)
        if fatal is not None:
            raise fatal
        self._owners.release(pins)
        if failed:
            if rank not in self._local_ranks:
                self._events.worker_lost(error)
            self.notes.append(f"{error}; other workers continued its work")
        else:
            _LOG.info("worker %d left", rank)
        return loss

    def _note_end(self, error: WorkerLostError, *, has_failed: bool) -> None:
        """Take note of the end of a worker that had nothing left to do."""
        if error.rank in self._ended:
            return
        self._ended.add(error.rank)
        self._owners.remove_worker(error.rank)
        self._store.evict(error.rank, [], count_delivery=False)
        if has_failed:
            self.notes.append(
                f"{error}, at the end of the run; no result is missing, but files that its PEs had"
                " not closed may be incomplete"
            )
