"""The protocols of a store: `TaskStore` for workers and `RunStore` for the driver.

Every store keeps these rules:

- A task is leased to one worker at a time, and stays in the store until a commit that ends its
  lease.  So no task is lost with a worker.
- A commit is atomic: the tasks and results that follow from its leases, the end of these leases,
  states, positions and counts change in one step or not at all.
- A worker that was evicted can commit nothing any more, even if it still runs.
- The store counts unfinished tasks per PE.  A task counts from the commit that adds it until the
  commit that ends it, so where nothing upstream is unfinished, no more items can arrive.
- The tasks of one pinned instance keep their order, for its next owner too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from d4py_dynamic.store.limits import TAKE_SECONDS
from d4py_dynamic.store.tasks import (
    AdoptedInstance,
    Commit,
    Eviction,
    InstanceId,
    Lease,
    ResumePoint,
    StoreStatus,
    Task,
)
from dispel4py.result import Failure, InstanceStats

if TYPE_CHECKING:
    from dispel4py.engine.execution.metering import MeterReport


class TaskStore(Protocol):
    """A worker's side of a store.

    Attributes:
        largest: largest size in bytes of the pickle of an item or state; None if any.
        seen: the load as of the end of the last `take` that did not name instances.
    """

    largest: int | None
    seen: StoreStatus

    def take(
        self,
        only: Sequence[InstanceId] | None = None,
        seconds: float = TAKE_SECONDS,
        *,
        shared: bool = True,
        pinned: bool = True,
    ) -> list[Lease]:
        """Take control messages, tasks of the instances that this worker owns, or shared tasks.

        Args:
            only: take tasks of these pinned instances and control messages only, and do not wait.
            seconds: how long to wait if there are none; the wait may end earlier.
            shared: take shared tasks; otherwise this worker does not count as idle while it waits.
            pinned: take tasks of the instances that this worker owns.
        """

    def adopt(self, pin: InstanceId) -> AdoptedInstance:
        """Become the owner of an instance; return it with the leases of its previous owner."""

    def commit(self, commit: Commit) -> StoreStatus:
        """Apply a commit, in one step; return the status afterwards.

        Raises:
            ItemError: something in it cannot be pickled.
            ServiceError: the store failed, or a lease of the commit is no longer this worker's.
        """

    def status(self, watched: Sequence[InstanceId] = ()) -> StoreStatus:
        """Return the store's status.

        Args:
            watched: instances to look at for `StoreStatus.full`.
        """

    def positions(self, pins: Sequence[InstanceId]) -> list[ResumePoint]:
        """Return the positions of pinned instances at their last commits."""

    def log(self, pe_id: str, rank: int, message: str) -> None:
        """Send what a PE logs to the driver."""

    def report_activity(self, report: MeterReport) -> None:
        """Report to the driver what the instances of this worker do."""

    def report_undeclared_state(self, found: UndeclaredState) -> None:
        """Report to the driver that a PE keeps state without declaring it."""

    def close(self) -> None:
        """Close the connection to the store."""


class Results(NamedTuple):
    """Event: results of a commit."""

    results: list[tuple[str, str, list[Any]]]
    failures: list[Failure]


class LogLine(NamedTuple):
    """Event: a PE logged something."""

    pe_id: str
    rank: int
    message: str


class UndeclaredState(NamedTuple):
    """Event: a PE that is not declared stateful keeps state.

    Attributes:
        pe_id: id of the PE.
        rank: number of its worker.
        attributes: those that it has changed; see `InstanceStats.changed`.
        files: those that it writes; see `InstanceStats.files`.
    """

    pe_id: str
    rank: int
    attributes: tuple[str, ...]
    files: tuple[tuple[str, str], ...]


class Activity(NamedTuple):
    """Event: what has changed in a worker of an observed run since its last such event."""

    report: MeterReport


class Quiescent(NamedTuple):
    """Event: a watched PE has no unfinished task now."""

    pe: int


class WorkerFailed(NamedTuple):
    """Event: a worker that the driver has not started failed.

    Attributes:
        error: its error; see `dispel4py.processes.workers.reports.picklable_error`.
    """

    error: bytes


class WorkerExited(NamedTuple):
    """Event: a worker that the driver has not started exited.

    Attributes:
        rank: number of the worker.
        process: id of its process.
        cause: why it exited.
        drained: whether the worker returned its work before it stopped.
    """

    rank: int
    process: int
    cause: str
    drained: bool = False


class WorkerStopping(NamedTuple):
    """Event: a worker that the driver has not started waits for threads of its PEs to end.

    Attributes:
        rank: number of the worker.
        threads: their names.
    """

    rank: int
    threads: list[str]


class Notice(NamedTuple):
    """Event: a notice for the user, for example that foreign bytes were dropped."""

    text: str


Event = (
    Results
    | LogLine
    | UndeclaredState
    | Activity
    | Quiescent
    | WorkerFailed
    | WorkerExited
    | WorkerStopping
    | Notice
)


class InputOffset(NamedTuple):
    """How many calls of a root were put from an iterable.

    Attributes:
        root: number of the PE.
        calls: number of calls of the PE that were put in all.
        ended: whether there will be no more.
    """

    root: int
    calls: int
    ended: bool


class DriverState(NamedTuple):
    """State of a driver, for the next one if it dies.

    Attributes:
        finishing: PEs that are being postprocessed.
        offsets: how many calls of each root were put, for roots with an iterable.
        ranks: its workers.
    """

    finishing: frozenset[int]
    offsets: Mapping[int, InputOffset]
    ranks: tuple[int, ...]


class OrphanedReplica(NamedTuple):
    """A replica whose worker has stopped before it was postprocessed.

    Attributes:
        token: identifies it in the store.
        replica: the PE, pickled.
    """

    token: Any
    replica: bytes


class Load(NamedTuple):
    """How many tasks and workers wait.

    Attributes:
        backlog: number of queued shared tasks.
        idle: workers that wait for shared tasks.
        paused: workers that wait, but for no shared tasks.
    """

    backlog: int
    idle: frozenset[int]
    paused: frozenset[int]


class RunStore(Protocol):
    """The driver's side of a store."""

    def join(self) -> int:
        """Add a worker, which is idle until it takes something; return its rank."""

    def put(self, tasks: Iterable[Task], rank: int | None = None) -> None:
        """Add tasks; with `rank`, to the inbox of that worker.

        Args:
            tasks: the tasks.
            rank: number of the worker; if it was evicted, the tasks are dropped.
        """

    def finish(
        self,
        pe: int,
        tasks: Iterable[tuple[Task, int | None]],
        orphans: Iterable[OrphanedReplica] = (),
    ) -> None:
        """Add the tasks that postprocess a PE, and record that they were added, in one step.

        Args:
            pe: number of the PE.
            tasks: each with the worker to whose inbox it goes, or None.
            orphans: replicas that are among the tasks, and are no longer orphaned.
        """

    def evict(
        self, rank: int, pins: Iterable[InstanceId], *, count_delivery: bool = True
    ) -> Eviction:
        """Evict a worker: it can commit nothing from now on, and others can take its tasks.

        Args:
            rank: number of the worker.
            pins: the instances that it owns.
            count_delivery: whether to increase the delivery counts of the tasks and instances that
                it had, which may be the reason for its loss.
        """

    def seconds_since_heartbeat(self) -> Mapping[int, float] | None:
        """Return the age of each worker's last heartbeat in seconds, and send the driver's own.

        The age is infinite where a worker's connection is known to have ended.

        None where all workers are processes of this machine, which the operating system watches.
        """

    def feed(self, tasks: Iterable[Task], offset: InputOffset, limit: int) -> bool:
        """Add calls of a root; return whether its queue is full now.

        Args:
            tasks: the calls.
            offset: how many calls of the root are put with them, for a driver that takes over.
            limit: with how many tasks the queue is full: unfinished ones of a pinned root, or
                shared ones that wait.
        """

    def wait_for_room(self, root: int, seconds: float) -> bool:
        """Wait until the queue of a root is not full any more, which `feed` has said it was.

        Args:
            root: number of the PE.
            seconds: how long to wait at most.

        Returns:
            False if it may still be full; call this again.
        """

    def queue_length(self, pe: int, instance: int) -> int:
        """Return the number of unfinished tasks of a pinned instance."""

    def load(self) -> Load:
        """Return how much there is to do."""

    def events(self, seconds: float) -> list[Event]:
        """Return events since the last call; wait up to `seconds` for some."""

    def unfinished(self, watched: Iterable[int]) -> dict[int, int]:
        """Return each PE's unfinished tasks; from now on a watched PE makes `Quiescent` events.

        Raises:
            ServiceError: the store has lost tasks, results or counts.
        """

    def missing_results(self) -> int:
        """Return how many batches of results were committed and not returned by `events` yet.

        Raises:
            ServiceError: the store has lost them.
        """

    def replicas(self, pe: int) -> list[int]:
        """Return the workers with a replica of a shared PE that is still to be postprocessed."""

    def orphans(self, pe: int) -> list[OrphanedReplica]:
        """Return the orphaned replicas of a shared PE that `finish` was not called with.

        Raises:
            ServiceError: the store has lost them.
        """

    def stats(self) -> list[InstanceStats]:
        """Return calls and busy time of each PE in each worker."""

    def delete(self) -> None:
        """Delete everything that is stored of the run."""
