"""`TraceFile`: a trace of a run in the Trace Event Format, which Perfetto opens (ui.perfetto.dev).

Each worker is a process with a track for each instance of a PE that it calls.  A slice is the time
between two reports in which there were calls; in it lies a slice as long as these calls.  The
slowest calls have tracks of their own.

Source: "Trace Event Format", the Chromium project; only complete events, instants, counters and
metadata are written, and the slices of a track are nested or apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from d4py_cli.files.lines import LinesFile
from d4py_cli.observing.event_visitor import EventVisitor
from d4py_cli.observing.increments import Increments
from dispel4py import events
from dispel4py.result import RunResult

#: The process of the trace that stands for the run as a whole; worker n is process n + 1.
_RUN = 0


class TraceFile(LinesFile, EventVisitor):
    """An observer that writes a trace, line by line.

    Args:
        target: name of a file; ``-`` is standard output.

    Raises:
        OptionError: the file cannot be written.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target, "--trace", "the trace")
        self._increments = Increments()
        self._began: dict[int, float] = {}
        self._tracks: dict[tuple[int, str], int] = {}
        self._slow: set[tuple[int, str, int, float]] = set()
        self._waiting: dict[tuple[str, int | None], int] = {}
        self._has_events = False

    def finish(self, result: RunResult) -> None:
        """Take the result of the run; a trace is made from events."""

    def visit_RunStarted(self, event: events.RunStarted) -> None:
        about = {
            "mapping": event.mapping,
            "command": " ".join(event.command),
            "host": event.host,
            "seed": event.seed,
            "time_of_zero_utc": event.time_utc,
            **event.versions,
        }
        self.write_line(
            f'{{"displayTimeUnit": "ms", "otherData": {json.dumps(about)}, "traceEvents": ['
        )
        self._name_track("process_name", _RUN, 0, f"run on {event.mapping}, from {event.time_utc}")

    def visit_RunEnded(self, event: events.RunEnded) -> None:
        for worker, began in self._began.items():
            self._slice(worker + 1, 0, f"worker {worker}", began, event.time)
        self._slice(_RUN, 0, event.outcome, 0.0, event.time, {"message": event.message})
        self.write_line("]}")

    def visit_WorkerStarted(self, event: events.WorkerStarted) -> None:
        if event.worker not in self._began:
            self._began[event.worker] = event.time
            where = f" on {event.host}, process {event.pid}" if event.host else ""
            self._name_track("process_name", event.worker + 1, 0, f"worker {event.worker}{where}")

    def visit_InstanceReport(self, event: events.InstanceReport) -> None:
        self.visit_WorkerStarted(events.WorkerStarted(event.time, event.worker))
        new = self._increments.add(event, self._began[event.worker])
        if not new.calls and not new.seconds:
            return
        track = self._track(event.worker, f"{event.pe} {event.instance}")
        length = event.time - new.since
        in_calls = min(new.seconds, length)
        about = {"calls": new.calls, "seconds in calls": round(new.seconds, 6)}
        self._slice(event.worker + 1, track, event.pe, new.since, event.time, about)
        self._slice(event.worker + 1, track, "in calls", new.since, new.since + in_calls)
        if length > 0:
            rate = round(new.calls / length, 3)
            self._count(f"{event.pe} calls/s", event.time, {f"worker {event.worker}": rate})

    def visit_SlowCall(self, event: events.SlowCall) -> None:
        key = event.worker, event.pe, event.instance, event.start
        if key not in self._slow:
            self._slow.add(key)
            track = self._track(event.worker, f"{event.pe} {event.instance}, slowest calls")
            about = {"item": event.item, "calls": event.calls}
            end = event.start + event.seconds
            self._slice(event.worker + 1, track, event.pe, event.start, end, about)

    def visit_QueueReport(self, event: events.QueueReport) -> None:
        pe = event.pe or "all PEs"
        self._waiting[pe, event.worker] = event.waiting
        total = sum(n for (of, _), n in self._waiting.items() if of == pe)
        self._count(f"{pe} waiting", event.time, {event.unit: total})

    def visit_Scaled(self, event: events.Scaled) -> None:
        numbers = {"active": event.active, "backlog": event.backlog}
        self._count("autoscaling", event.time, numbers)

    def visit_Failure(self, event: events.Failure) -> None:
        about = {"item": event.item, "count": event.count, "traceback": event.traceback}
        self._instant(event.time, f"{event.exception_type} in {event.pe}", about)

    def visit_WorkerLost(self, event: events.WorkerLost) -> None:
        self._instant(event.time, f"worker {event.worker} was lost", {"reason": event.reason})

    def visit_WorkerReplaced(self, event: events.WorkerReplaced) -> None:
        self._instant(event.time, f"worker {event.by} replaces worker {event.worker}", {})

    def visit_Message(self, event: events.Message) -> None:
        self._instant(event.time, event.text, {"level": event.level, "pe": event.pe})

    def _track(self, worker: int, name: str) -> int:
        """Return the number of a track of a worker, which is named when it is new."""
        track = self._tracks.get((worker, name))
        if track is None:
            track = self._tracks[worker, name] = len(self._tracks) + 1
            self._name_track("thread_name", worker + 1, track, name)
        return track

    def _name_track(self, kind: str, process: int, track: int, name: str) -> None:
        self._write("M", process, track, kind, 0.0, args={"name": name})

    def _slice(
        self,
        process: int,
        track: int,
        name: str,
        start: float,
        end: float,
        about: dict[str, Any] | None = None,
    ) -> None:
        # Rounded before they are subtracted, so that neighbours do not overlap.
        length = _microseconds(max(start, end)) - _microseconds(start)
        self._write("X", process, track, name, start, dur=length, args=about or {})

    def _instant(self, time: float, name: str, about: dict[str, Any]) -> None:
        self._write("i", _RUN, 0, name, time, s="p", args=about)

    def _count(self, name: str, time: float, numbers: Mapping[str, float]) -> None:
        self._write("C", _RUN, 0, name, time, args=numbers)

    def _write(
        self, phase: str, process: int, track: int, name: str, time: float, **more: Any
    ) -> None:
        event = {"ph": phase, "pid": process, "tid": track, "name": name}
        line = json.dumps({**event, "ts": _microseconds(time), "cat": "d4py", **more})
        self.write_line(f",{line}" if self._has_events else line)
        self._has_events = True


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)
