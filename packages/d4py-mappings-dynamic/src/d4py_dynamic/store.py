"""`TaskStore`: where tasks wait, as a worker sees it; and `RunStore`, as the driver does.

The lease rules, which every store keeps:

- A task is taken by one worker at a time, and stays the store's until a commit that names its
  lease; a worker that is lost loses no task.
- A commit is atomic: what follows from the leases it names, their end, and the counts move in one
  step or not at all.
- The store counts unfinished tasks per PE.  A task counts from the commit that puts it until the
  commit that ends it, so "nothing upstream is unfinished" means that nothing more can come.
- Tasks for one instance keep their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from d4py_dynamic.tasks import Commit, Lease, Pressure, Task
from dispel4py.result import Failure, InstanceStats


class TaskStore(Protocol):
    """A worker's side of a store."""

    def take(self, only: Sequence[tuple[int, int]] | None = None) -> list[Lease]:
        """Take tasks.

        Waits a moment (below a second) if there are none; may return none.

        Args:
            only: take tasks of these pinned instances alone, and do not wait.
        """

    def commit(self, commit: Commit) -> Pressure:
        """Make a commit true, in one step.

        Raises:
            ServiceError: the store failed, or a lease of the commit is no longer this worker's.
        """

    def pressure(self, watched: Sequence[tuple[int, int]] = ()) -> Pressure:
        """How the store stands now.

        Args:
            watched: instances to look at for `Pressure.full`.
        """

    def log(self, pe_id: str, rank: int, message: str) -> None:
        """Send what a PE logs to the driver."""

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


class Drained(NamedTuple):
    """Event: a watched PE has no unfinished task at the moment."""

    pe: int


class Note(NamedTuple):
    """Event: something to tell the user, such as foreign bytes that were dropped."""

    text: str


Event = Results | LogLine | Drained | Note


class RunStore(Protocol):
    """The driver's side of a store."""

    def put(self, tasks: Iterable[Task], rank: int | None = None) -> None:
        """Add tasks; with `rank`, for that worker alone."""

    def waiting(self, pe: int, instance: int) -> int:
        """How many tasks of a pinned instance wait."""

    def events(self, seconds: float) -> list[Event]:
        """What has happened since the last call; waits up to `seconds` for something."""

    def unfinished(self, watched: Iterable[int]) -> dict[int, int]:
        """Unfinished tasks per PE.  From now on a watched PE makes `Drained` events.

        Raises:
            ServiceError: the store has lost tasks, results or counts.
        """

    def missing_results(self) -> int:
        """How many batches of results were committed and have not come as events yet.

        Raises:
            ServiceError: the store has lost them.
        """

    def replicas(self, pe: int) -> list[int]:
        """Workers with a replica of a shared PE that has a life cycle."""

    def stats(self) -> list[InstanceStats]:
        """What each worker has done of each PE."""

    def delete(self) -> None:
        """Leave nothing of the run behind."""
