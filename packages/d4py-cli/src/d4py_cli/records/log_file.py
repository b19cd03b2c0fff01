"""``--log FILE``: what happens in a run, as JSON lines or as text."""

from __future__ import annotations

from datetime import UTC, datetime

from d4py_cli.files.lines import LinesFile
from dispel4py.events import (
    Event,
    Failure,
    InstanceReport,
    Message,
    QueueReport,
    RunEnded,
    RunStarted,
    Scaled,
    SlowCall,
    WorkerLost,
    WorkerReplaced,
    WorkerStarted,
    to_json,
)
from dispel4py.observing.progress import RunProgress
from dispel4py.observing.summary import format_seconds, summarize
from dispel4py.result import RunResult


class EventFile(LinesFile):
    """Writes each event as a line; an observer.

    Args:
        target: name of a file, or ``-`` for standard output.

    Raises:
        OptionError: the file cannot be written, or another run is writing to it.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target, "--log", "the log")

    def on_event(self, event: Event) -> None:
        """See `dispel4py.events.Observer`."""
        self.write_line(to_json(event))

    def finish(self, result: RunResult) -> None:
        """Take the result of the run, which is not logged."""


class TextLog(EventFile):
    """Writes what users read: messages, failures, workers, and each PE at the end.

    Args:
        target: see `EventFile`.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self._progress = RunProgress()
        self._failures: dict[tuple[str, str, str], int] = {}

    def on_event(self, event: Event) -> None:
        self._progress.on_event(event)
        for text in self._texts(event):
            stamp = datetime.now(UTC).isoformat(" ", "milliseconds").removesuffix("+00:00")
            self.write_line(f"{stamp}Z {text}")

    def _texts(self, event: Event) -> list[str]:
        match event:
            case RunStarted():
                return [f"{event.mapping} started: {len(event.pes)} PEs, seed {event.seed}"]
            case WorkerStarted():
                return [f"worker {event.worker} started: process {event.pid} on {event.host}"]
            case WorkerLost():
                return [f"WARNING worker {event.worker} was lost: {event.reason}"]
            case WorkerReplaced():
                return [f"worker {event.by} was started in place of worker {event.worker}"]
            case Message():
                source = "" if event.pe is None else f"{event.pe} (worker {event.worker}): "
                return [f"{event.level} {source}{event.text}"]
            case Scaled():
                return [f"{event.active} workers active, {event.backlog} tasks: {event.reason}"]
            case Failure():
                return self._failure(event)
            case RunEnded():
                ended = f"{event.outcome} after {format_seconds(event.seconds)} {event.message}"
                return [*summarize(self._progress.rows()), ended.strip()]
            case InstanceReport() | QueueReport() | SlowCall() | _:
                return []

    def _failure(self, event: Failure) -> list[str]:
        """Return the first failure of a kind with its traceback, and of others their number."""
        kind = event.pe, event.phase, event.exception_type
        is_first = kind not in self._failures
        self._failures[kind] = event.count
        if is_first:
            first = f"FAILURE {event.pe} (instance {event.instance}) in {event.phase} at"
            lines = f"{first} {event.item}: {event.message}\n{event.traceback}".splitlines()
            return [line for line in lines if line]
        return [f"FAILURE {event.pe} in {event.phase}: {event.count} × {event.exception_type}"]


def open_log(target: str) -> EventFile:
    """Return the log for a file: JSON lines if its name ends with ``.jsonl``, else text.

    Raises:
        OptionError: the file cannot be written, or another run is writing to it.
    """
    return EventFile(target) if target.lower().endswith(".jsonl") else TextLog(target)
