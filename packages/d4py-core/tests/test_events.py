"""Events as JSON lines."""

import json

import pytest

from dispel4py import events
from dispel4py.events import (
    EdgeDescription,
    EventLog,
    Failure,
    InstanceReport,
    PEDescription,
    RunEnded,
    RunStarted,
    SlowCall,
    WorkerLost,
    from_json,
    read_events,
    to_json,
)

STARTED = RunStarted(
    time=0.0,
    time_utc="2026-11-30T12:00:00+00:00",
    mapping="multi",
    processes=2,
    pes=(
        PEDescription("A0", "A", "flow.A", 1, True, "flow.py", 3),
        PEDescription("B1", "B", "flow.B", 0, False),
    ),
    edges=(EdgeDescription("A0", "output", "B1", "input", "[0]"),),
    inputs={"A0": 10},
    seed=2**64 - 1,
    versions={"python": "3.11.7"},
    command=("dispel4py", "multi"),
)
REPORT = InstanceReport(1.5, 0, "A0", 0, 7, {"output": 6}, 0.25, {"output": 10**7}, 1, 1.25)


@pytest.mark.parametrize(
    "event",
    [
        STARTED,
        REPORT,
        Failure(2.0, "B1", 0, "process", "ValueError", "no “number”", "{'a': 1}", "…\n", 3, 1),
        WorkerLost(2.5, 1, "killed by SIGKILL", ("B1",)),
        RunEnded(3.0, "done", 3.0),
    ],
    ids=lambda event: type(event).__name__,
)
def test_an_event_survives_json(event):
    line = to_json(event)
    assert "\n" not in line
    assert from_json(line) == event


def test_every_kind_of_event_can_be_read():
    kinds = {kind.__name__ for kind in events.Event.__subclasses__()}
    assert kinds == set(events._KINDS)


def test_a_field_of_a_later_version_is_ignored():
    values = json.loads(to_json(REPORT)) | {"colour": "red"}
    assert from_json(json.dumps(values)) == REPORT


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{}",
        "",
        '{"v": 1, "event": "Party", "time": 0}',
        '{"v": 1, "event": "RunEnded", "time": 0}',
        '{"v": 2, "event": "Scaled", "time": 0, "active": 1, "backlog": 0}',
    ],
)
def test_what_is_no_event_is_refused(line):
    with pytest.raises(ValueError, match=r"event|RunEnded|Expecting"):
        from_json(line)


@pytest.mark.parametrize(
    ("event", "field", "value", "shown"),
    [
        (STARTED, "time", "x", "a RunStarted with time = 'x'"),
        (STARTED, "time_utc", None, "a RunStarted with time_utc = None"),
        (STARTED, "pes", 5, "a RunStarted with pes = 5"),
        (STARTED, "pes", ["B1"], r"a RunStarted with pes = \['B1'\]"),
        (STARTED, "pes", [{"id": 3}], "a PEDescription with id = 3"),
        (STARTED, "pes", [], "an edge of '.*', which is no PE"),
        (STARTED, "inputs", {"A0": "many"}, "a RunStarted with inputs = {'A0': 'many'}"),
        (REPORT, "calls", True, "a InstanceReport with calls = True"),
        (REPORT, "calls", 10**400, "a InstanceReport with calls = 1000"),
        (REPORT, "seconds", float("nan"), "a InstanceReport with seconds = nan"),
        (REPORT, "event", ["InstanceReport"], "not an event"),
        (RunEnded(3.0, "done", 3.0), "outcome", "lost", "a RunEnded with outcome = 'lost'"),
        (SlowCall(1.0, 0, "B1", 0, 0.0, 1.0), "calls", 0, "a SlowCall with calls = 0"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_no_run_writes_is_refused_by_the_name_of_its_field(event, field, value, shown):
    values = json.loads(to_json(event)) | {field: value}
    with pytest.raises(ValueError, match=shown):
        from_json(json.dumps(values))


def test_a_line_that_is_nested_too_deeply_is_no_event():
    with pytest.raises(ValueError, match="not an event: it is nested too deeply"):
        from_json("[" * 1_000_000)


def test_a_log_of_a_killed_run_can_be_read():
    lines = []
    log = EventLog(lines.append)
    log.on_event(STARTED)
    log.on_event(REPORT)
    whole = [f"{line}\n" for line in lines]
    assert [*read_events([*whole, whole[0][:40]])] == [STARTED, REPORT]
    for broken in [*whole, "{\n"], [whole[0][:40], *whole]:
        with pytest.raises(ValueError, match="line"):
            [*read_events(broken)]
