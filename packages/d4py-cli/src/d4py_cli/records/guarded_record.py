"""`GuardedRecord`: keeps errors of what is written about a run from disturbing the run."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Protocol

from d4py_cli.files.lines import OutputClosedError, print_message
from d4py_cli.observing.taken_events import TakenEvents
from d4py_cli.report.environment import WorkflowSources
from dispel4py.errors import RunError
from dispel4py.events import Event, Observer, RunEnded
from dispel4py.result import RunResult

_LOGGER = logging.getLogger("dispel4py.cli")
#: Seconds after which a run that is over says that it waits for a record.
_SILENT_SECONDS = 1.0
#: Seconds without any event taken after which it does not wait longer.
_STUCK_SECONDS = 10.0


class Written(Observer, Protocol):
    """A record or a log: an observer, and a context around the run."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None: ...

    def finish(self, result: RunResult) -> None:
        """Take the result of a run that has done its work."""


class GuardedRecord:
    """A record, or a log, whose errors are warnings while the run goes on.

    Args:
        record: an observer, and a context around the run.
        option: the option that asked for it, for messages.
        sources: adds the files of the workflow to the start of the run.

    Attributes:
        needs_all_events: see `dispel4py.observing.observer_queue`.
        option: see above.
        error: the first error; None if all could be written.
    """

    needs_all_events = True

    def __init__(self, record: Written, option: str, sources: WorkflowSources) -> None:
        self._record = record
        self.option = option
        self._sources = sources
        self.error: Exception | None = None
        self._has_begun = self._has_ended = False
        self._taken = TakenEvents()

    def __repr__(self) -> str:
        return self.option

    def on_event(self, event: Event) -> None:
        """Give the record an event of the run."""
        self._has_begun = True
        try:
            self._record.on_event(self._sources.add_to(event))
            self._has_ended |= isinstance(event, RunEnded)
        except OutputClosedError:
            self._has_ended = True  # the reader of standard output has enough
        except (RunError, OSError) as error:
            if text := self._note(error):
                _LOGGER.warning("%s", text)
        except BaseException:
            self._taken.end()  # it gets no more events
            raise
        self._taken.add(event)

    def finish(self, result: RunResult) -> None:
        """Give the record the result of a run that has done its work."""
        self._record.finish(result)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._has_begun:
            self._wait_for_end()
        try:
            self._record.__exit__(kind, error, where)
            if self._has_begun and not self._has_ended:  # it was too slow, or failed
                raise RunError("the run ended before all of its events had been taken")
        except (RunError, OSError) as failure:
            if text := self._note(failure):  # after the run, when its log lines are not shown
                print_message(f"dispel4py: {text}")

    def _wait_for_end(self) -> None:
        """Wait until the record has taken all events, as long as it takes any."""
        if self._taken.wait(_SILENT_SECONDS):
            return
        print_message(f"waiting until {self.option} is written; Ctrl-C ends that")
        self._taken.wait_for_all(_STUCK_SECONDS)

    def _note(self, error: RunError | OSError) -> str:
        """Return a warning of the first error; "" for others, which follow from it."""
        if self.error is not None:
            return ""
        self.error = error
        text = str(error)
        if isinstance(error, OSError):
            text = f"cannot write {error.filename or 'a file'}: {error.strerror}"
        return f"{text} ({self.option})"
