"""`TaskStore`: where tasks wait, as a worker sees it; and `RunStore`, as the driver does.

The lease rules, which every store keeps:

- A task is taken by one worker at a time, and stays the store's until a commit that names its
  lease; a worker that is lost loses no task.
- A commit is atomic: what follows from the leases it names, their end, states, positions and the
  counts move in one step or not at all.
- A worker that was given up commits nothing any more, however alive it turns out to be.
- The store counts unfinished tasks per PE.  A task counts from the commit that puts it until the
  commit that ends it, so "nothing upstream is unfinished" means that nothing more can come.
- Tasks for one instance keep their order, for its next owner too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

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


class TaskStore(Protocol):
    """A worker's side of a store.

    Attributes:
        largest: how many bytes the pickle of one item or state may have; None if any number.
    """

    largest: int | None

    def take(
        self,
        only: Sequence[InstanceId] | None = None,
        seconds: float = TAKE_SECONDS,
        *,
        shared: bool = True,
        pinned: bool = True,
    ) -> list[Lease]:
        """Take tasks: of the instances that this worker owns, its control messages, or shared ones.

        Args:
            only: take tasks of these pinned instances and control messages alone, and do not wait.
            seconds: how long to wait if there are none; may return none before that, too.
            shared: take shared tasks; without, this worker is not idle while it waits.
            pinned: take tasks of the instances that this worker owns.
        """

    def adopt(self, pin: InstanceId) -> AdoptedInstance:
        """Own an instance from now on, with everything that its last owner has not ended."""

    def commit(self, commit: Commit) -> StoreStatus:
        """Make a commit true, in one step.

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
        """Return how far pinned instances had come at their last commits."""

    def log(self, pe_id: str, rank: int, message: str) -> None:
        """Send what a PE logs to the driver."""

    def report_undeclared_state(self, found: UndeclaredState) -> None:
        """Send the driver what a PE does that does not say that it keeps state."""

    def close(self) -> None:
        """Let go of the store."""


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


class Quiescent(NamedTuple):
    """Event: a watched PE has no unfinished task now."""

    pe: int


class WorkerFailed(NamedTuple):
    """Event: a worker that the driver has not started failed.

    Attributes:
        error: its error; see `dispel4py.processes.worker_reports.picklable_error`.
    """

    error: bytes


class WorkerExited(NamedTuple):
    """Event: a worker that the driver has not started exited.

    Attributes:
        rank: its number.
        process: number of its process.
        cause: why.
        drained: whether the worker returned its work before it stopped.
    """

    rank: int
    process: int
    cause: str
    drained: bool = False


class WorkerStopping(NamedTuple):
    """Event: a worker that the driver has not started is done, but threads still run in it.

    Attributes:
        rank: its number.
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
        calls: how many calls of it were put, in all.
        ended: there will be no more.
    """

    root: int
    calls: int
    ended: bool


class DriverState(NamedTuple):
    """State of a driver, for the next one if it dies.

    Attributes:
        finishing: PEs that were to be postprocessed.
        offsets: how many calls of each root were put from an iterable.
        ranks: the workers that it had.
    """

    finishing: frozenset[int]
    offsets: Mapping[int, InputOffset]
    ranks: tuple[int, ...]


class OrphanedReplica(NamedTuple):
    """A replica that its worker has left.

    Attributes:
        token: identifies it in the store.
        replica: the PE, pickled.
    """

    token: Any
    replica: bytes


class Load(NamedTuple):
    """How much there is to do.

    Attributes:
        backlog: shared tasks that wait.
        idle: workers that wait for them.
        paused: workers that were told not to, and do not.
    """

    backlog: int
    idle: frozenset[int]
    paused: frozenset[int]


class RunStore(Protocol):
    """The driver's side of a store."""

    def join(self) -> int:
        """There is one worker more; its number.  It is idle until it has taken something."""

    def put(
        self, tasks: Iterable[Task], rank: int | None = None, *, offset: InputOffset | None = None
    ) -> None:
        """Add tasks; with `rank`, for that worker alone.

        Args:
            tasks: the tasks.
            rank: number of the worker; if it is gone, so are they.
            offset: how many calls of the root are put with them, for a driver that takes over.
        """

    def finish(
        self,
        pe: int,
        tasks: Iterable[tuple[Task, int | None]],
        orphans: Iterable[OrphanedReplica] = (),
    ) -> None:
        """Add tasks that postprocess a PE, and note that it is to be, in one step.

        Args:
            pe: number of the PE.
            tasks: each with the worker it is for alone, as in `put`.
            orphans: what some of them postprocess; it is left to nobody any more.
        """

    def evict(
        self, rank: int, pins: Iterable[InstanceId], *, count_delivery: bool = True
    ) -> Eviction:
        """Give a worker up: it can commit nothing from now on, and others can have its tasks.

        Args:
            rank: its number.
            pins: the instances that it owns; somebody will adopt them.
            count_delivery: whether to increase the delivery counts of the tasks and instances that
                it had, which may be the reason for its loss.
        """

    def seconds_since_heartbeat(self) -> Mapping[int, float] | None:
        """Return the age of each worker's last heartbeat in seconds, and send the driver's own.

        None where all workers are processes of this machine, which the operating system watches.
        """

    def queue_length(self, pe: int, instance: int) -> int:
        """Return the number of unfinished tasks of a pinned instance."""

    def load(self) -> Load:
        """How much there is to do."""

    def events(self, seconds: float) -> list[Event]:
        """What has happened since the last call; waits up to `seconds` for something."""

    def unfinished(self, watched: Iterable[int]) -> dict[int, int]:
        """Unfinished tasks per PE.  From now on a watched PE makes `Quiescent` events.

        Raises:
            ServiceError: the store has lost tasks, results or counts.
        """

    def missing_results(self) -> int:
        """How many batches of results were committed and have not come as events yet.

        Raises:
            ServiceError: the store has lost them.
        """

    def replicas(self, pe: int) -> list[int]:
        """Workers with a replica of a shared PE that has a life cycle and was not finished."""

    def orphans(self, pe: int) -> list[OrphanedReplica]:
        """Replicas of a shared PE that their workers have left, until `finish` names them.

        Raises:
            ServiceError: the store has lost them.
        """

    def stats(self) -> list[InstanceStats]:
        """What each worker has done of each PE."""

    def delete(self) -> None:
        """Leave nothing of the run behind."""
