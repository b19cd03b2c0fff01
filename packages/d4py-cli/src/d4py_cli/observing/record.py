"""`Record`: base of what a run leaves beside its results, such as a report."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from dispel4py.events import Event, RunStarted
from dispel4py.result import RunResult


class Record:
    """An observer of a run, and a context around it, that writes something when the run is over.

    It does so for a run that has failed, too.  Of one that was refused, nothing is left.

    Attributes:
        started: the start of the run; None before it.
        result: the result of the run, or what there was of it when it failed; None before.
        is_done: the run has done its work.
    """

    def __init__(self) -> None:
        self.started: RunStarted | None = None
        self.result: RunResult | None = None
        self.is_done = False

    def on_event(self, event: Event) -> None:
        """Take an event of the run."""
        if isinstance(event, RunStarted):
            self.started = event

    def finish(self, result: RunResult) -> None:
        """Take the result of a run that has done its work."""
        self.result = result
        self.is_done = True

    def write(self) -> None:
        """Write what is to be left of the run.

        Raises:
            OSError: it cannot be written.
            RunError: the same, with a message for the user.
        """

    def discard(self) -> None:
        """Remove what was made for a run that was refused."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self.started is None:
            self.discard()
            return
        self.result = self.result or getattr(error, "result", None)
        self.write()
