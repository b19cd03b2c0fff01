"""Events: what happens during a run, as observers get it from every mapping.

An observer is any object with a method `on_event`; `run(..., observers=[…])` calls it.  Counts are
cumulative per instance and worker, and come a few times a second, so the last `InstanceReport` of
each holds all that was done.  A log of events is a file of JSON lines.

>>> event = Scaled(time=1.5, active=3, backlog=12, reason="many tasks wait")
>>> line = to_json(event)
>>> line
'{"v": 1, "event": "Scaled", "time": 1.5, "active": 3, "backlog": 12, "reason": "many tasks wait"}'
>>> from_json(line) == event
True
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

from dispel4py.errors import shorten
from dispel4py.json_values import restore

#: Version of the lines that `to_json` writes: higher where an older reader would misread them.
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        time: seconds since the start of the run, by the clock of the process that called `run`.
    """

    time: float


@dataclass(frozen=True, slots=True)
class PEDescription:
    """A PE of the graph.

    Attributes:
        id: id of the PE.
        name: its name: the id without the number.
        kind: its class, with the module.
        instances: number of instances; 0 where each worker may have one.
        is_root: it is called with the inputs of the run.
        file: the file with the source of the class; None if it has no methods of its own.
        line: the line of that file at which the class begins; before Python 3.13 its first method.
    """

    id: str
    name: str
    kind: str
    instances: int
    is_root: bool
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class EdgeDescription:
    """An edge of the graph; all items of the output go along it.

    Attributes:
        source: id of the sending PE.
        output: name of its output.
        destination: id of the receiving PE.
        input: name of its input.
        grouping: ``"shuffle"``, ``"all"``, ``"global"``, or the group keys, such as ``"[0]"``.
    """

    source: str
    output: str
    destination: str
    input: str
    grouping: str


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file with code of a workflow, as it was when the run started.

    Attributes:
        path: the file.
        sha256: hash of its content.
        revision: commit of the Git repository that holds it; "" if none does.
        changed: its content is not that of the commit.
    """

    path: str
    sha256: str
    revision: str = ""
    changed: bool = False


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """The first event of a run.

    Attributes:
        time_utc: date and time in UTC, in ISO 8601.
        mapping: name of the mapping.
        processes: number of processes that run PEs.
        pes: the PEs, in the order in which they joined the graph.
        edges: the edges.
        inputs: id of a root → number of its calls; None if it is not known before they are made.
        seed: seed of the random numbers.
        versions: name → version, of Python and d4py.
        host: name of the host that drives the run.
        pid: process that drives the run.
        command: the command line, without passwords in URLs.
        sources: files of the workflow, if an observer of the ``dispel4py`` command gets the event.
    """

    time_utc: str
    mapping: str
    processes: int
    pes: tuple[PEDescription, ...]
    edges: tuple[EdgeDescription, ...]
    inputs: Mapping[str, int | None]
    seed: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    pid: int = 0
    command: tuple[str, ...] = ()
    sources: tuple[SourceFile, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkerStarted(Event):
    """A process that runs PEs has begun.

    Attributes:
        worker: its number, as in `GenericPE.rank`.
        host: name of its host.
        pid: its process.
    """

    worker: int
    host: str = ""
    pid: int = 0


@dataclass(frozen=True, slots=True)
class InstanceReport(Event):
    """What an instance has done so far in one worker.  Calls repeated after a loss count again.

    Attributes:
        worker: number of the worker.
        pe: id of the PE.
        instance: number of the instance; of a PE that workers share, 0.
        calls: calls of ``process`` that have ended, failed ones too: the items that came in.
        items_out: output → number of items written.
        seconds: time in calls, without the one in progress.
        bytes_out: output → about how many bytes the large ones of these items have.
        failures: calls that failed.
        in_call_since: when the call in progress began, or the batch of calls; None without one.
        blocked_by: id of a PE that is behind, and for which the instance waits; None if none is.
        is_done: the instance will not be called again.
    """

    worker: int
    pe: str
    instance: int
    calls: int = 0
    items_out: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    bytes_out: Mapping[str, int] = field(default_factory=dict)
    failures: int = 0
    in_call_since: float | None = None
    blocked_by: str | None = None
    is_done: bool = False


@dataclass(frozen=True, slots=True)
class QueueReport(Event):
    """How much waits for a PE now.

    Attributes:
        pe: id of the PE; None for all PEs together, where they share a queue.
        waiting: number of items that have arrived and are not being processed, or of tasks that are
            not done.
        unit: what is counted: items, or tasks of a store, each of one item or more.
        worker: the worker in which they wait; None for a queue that workers share.
    """

    pe: str | None
    waiting: int
    unit: Literal["items", "tasks"] = "items"
    worker: int | None = None


@dataclass(frozen=True, slots=True)
class Failure(Event):
    """Calls of a PE failed in the same phase with the same type of exception.

    The first failure of a kind is an event at once; later ones only raise `count`, a few times a
    second.

    Attributes:
        pe: id of the PE.
        instance: number of the instance of the first of them.
        phase: ``"preprocess"``, ``"process"`` or ``"postprocess"``.
        exception_type: name of the type, with its module.
        message: text of the first exception.
        item: the first item, as text; empty outside ``process``.
        traceback: traceback of the first exception, without frames of d4py.
        count: how many calls have failed so.
        worker: number of the worker of the first of them; None if it is not known.
    """

    pe: str
    instance: int
    phase: str
    exception_type: str
    message: str
    item: str = ""
    traceback: str = ""
    count: int = 1
    worker: int | None = None


@dataclass(frozen=True, slots=True)
class SlowCall(Event):
    """One of the slowest calls of an instance so far.

    Attributes:
        worker: number of the worker.
        pe: id of the PE.
        instance: number of the instance.
        start: when the call began; in seconds since the start of the run.
        seconds: how long it took.
        item: the item, as text; empty where several calls were timed together.
        calls: number of calls that were timed together.
    """

    worker: int
    pe: str
    instance: int
    start: float
    seconds: float
    item: str = ""
    calls: int = 1


@dataclass(frozen=True, slots=True)
class WorkerLost(Event):
    """A worker ended, or stopped, before its work was done.

    Attributes:
        worker: its number.
        reason: such as ``"killed by SIGKILL"``.
        pes: ids of the PEs that it ran, as far as they are known.
    """

    worker: int
    reason: str
    pes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkerReplaced(Event):
    """A worker was started in place of one that was lost.

    Attributes:
        worker: number of the lost worker.
        by: number of the new one.
    """

    worker: int
    by: int


@dataclass(frozen=True, slots=True)
class Scaled(Event):
    """The number of active workers was changed by autoscaling.

    Attributes:
        active: how many workers are active from now on.
        backlog: tasks that wait for a worker.
        reason: why the number was changed.
    """

    active: int
    backlog: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Message(Event):
    """A line for the user: logged by a PE, or a warning of the run.

    Attributes:
        level: ``"INFO"`` or ``"WARNING"``.
        text: the line.
        pe: id of the PE that logged it; None if the run did.
        worker: number of its worker.
    """

    level: str
    text: str
    pe: str | None = None
    worker: int | None = None


@dataclass(frozen=True, slots=True)
class FilesDeclared(Event):
    """A PE has declared what it has used and made, by `GenericPE.provenance`.

    Attributes:
        pe: id of the PE.
        worker: number of its worker.
        used: paths or addresses of what it has used.
        generated: paths or addresses of what it has made.
    """

    pe: str
    worker: int
    used: tuple[str, ...] = ()
    generated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunEnded(Event):
    """The last event of a run.

    Attributes:
        outcome: how it ended.
        seconds: how long it took.
        message: the error that ended it; empty if none did.
    """

    outcome: Literal["done", "failed", "interrupted"]
    seconds: float
    message: str = ""


class Observer(Protocol):
    """What gets the events of a run."""

    def on_event(self, event: Event) -> None:
        """Handle an event.

        It is called by one thread at a time, which is not the thread of the run.  Where it is slow,
        reports that newer ones replace are left out.  So are, where 10,000 events wait, lines of
        PEs, slow calls and decisions of autoscaling; a `Message` has their number.  All other
        events come in order.  Where it raises, that is logged, and it gets no more events of the
        run.
        """


class EventLog:
    """An observer that writes events as JSON lines.

    Args:
        write_line: writes a line, which has no line end.
    """

    def __init__(self, write_line: Callable[[str], object]) -> None:
        self._write_line = write_line

    def on_event(self, event: Event) -> None:
        """Write an event."""
        self._write_line(to_json(event))


_KINDS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        *(RunStarted, WorkerStarted, InstanceReport, QueueReport, Failure, SlowCall, WorkerLost),
        *(WorkerReplaced, Scaled, Message, FilesDeclared, RunEnded),
    )
}


def to_json(event: Event) -> str:
    """Return an event as a line of JSON, without the line end."""
    import json

    return json.dumps({"v": SCHEMA, "event": type(event).__name__, **asdict(event)})


def from_json(line: str | bytes) -> Event:
    """Return the event that `to_json` has made a line of; fields that are unknown are ignored.

    Raises:
        ValueError: the line is none of `to_json`, or of a newer schema.
    """
    import json

    try:
        values: Any = json.loads(line)
    except RecursionError as error:
        raise ValueError("not an event: it is nested too deeply") from error
    if not isinstance(values, dict) or not isinstance(values.get("v"), int):
        raise ValueError(f"not an event: {shorten(line)}")
    if values["v"] > SCHEMA:
        raise ValueError(f"an event of schema {values['v']}; this version of d4py reads {SCHEMA}")
    name = values.get("event")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"not an event: {shorten(line)}")
    event = restore(kind, values)
    _check(event)
    return event


def read_events(lines: Iterable[str]) -> Iterator[Event]:
    """Yield the events of a log, but for a last line that was cut off as the run was killed.

    Raises:
        ValueError: another line is no event; the message has its number.
    """
    failed: ValueError | None = None
    for number, line in enumerate(lines, 1):
        if failed is not None:
            raise failed
        try:
            yield from_json(line)
        except ValueError as error:
            failed = ValueError(f"line {number}: {error}")
            if line.endswith("\n"):
                raise failed from error


def _check(event: Event) -> None:
    """Check what the types of fields do not say.

    Raises:
        ValueError: no run has such an event.
    """
    match event:
        case RunStarted():
            known = {pe.id for pe in event.pes}
            for edge in event.edges:
                if unknown := {edge.source, edge.destination} - known:
                    raise ValueError(f"an edge of {min(unknown)!r}, which is no PE")
        case SlowCall() if event.calls < 1:
            raise ValueError(f"a SlowCall with calls = {event.calls}")
