"""Traces of runs: the Trace Event Format, and slices that are nested."""

import json
from collections import defaultdict

import pytest

from d4py_cli.records.trace import TraceFile
from dispel4py.events import (
    Failure,
    InstanceReport,
    PEDescription,
    QueueReport,
    RunEnded,
    RunStarted,
    Scaled,
    SlowCall,
    WorkerLost,
    WorkerStarted,
)


@pytest.fixture
def trace(folder):
    """Writes events as a trace, and returns it."""

    def write(*events):
        with TraceFile("trace.json") as file:
            for event in events:
                file.on_event(event)
        return json.loads((folder / "trace.json").read_text())

    return write


def started():
    pes = (PEDescription("A0", "A", "wf.A", 1, is_root=True),)
    return RunStarted(0.0, "2026-11-30T12:00:00+00:00", "multi", 2, pes, (), {"A0": 3}, 7)


def run_of_two_workers():
    yield started()
    for worker in range(2):
        yield WorkerStarted(0.1 + worker, worker, "node1", 100 + worker)
    for step in range(1, 20):
        time = 1.1 + step / 3
        for worker in range(2):
            # Worker 1 is in one long call, which ends at last.
            calls, seconds = (step, step / 4) if worker == 0 else (step // 19, step // 19 * 6.0)
            since = 1.2 if worker == 1 and step < 19 else None
            yield InstanceReport(time, worker, "A0", worker, calls, {}, seconds, {}, 0, since)
        yield QueueReport(time, "A0", step)
    yield SlowCall(7.5, 1, "A0", 1, 1.2, 6.0, "{'x': 1}")
    yield SlowCall(7.6, 1, "A0", 1, 1.2, 6.0, "{'x': 1}")
    yield Scaled(7.7, 1, 0, "nothing waits")
    yield WorkerLost(7.8, 1, "killed by SIGKILL")
    yield Failure(7.9, "A0", 0, "process", "ValueError", "bad", "3")
    yield RunEnded(8.0, "done", 8.0)


def slices(made):
    """The slices of each track, in the order of their beginnings, the longer one first."""
    tracks = defaultdict(list)
    for event in made["traceEvents"]:
        if event["ph"] == "X":
            tracks[event["pid"], event["tid"]].append((event["ts"], event["dur"], event["name"]))
    return {track: sorted(of, key=lambda it: (it[0], -it[1])) for track, of in tracks.items()}


def test_each_event_has_the_fields_that_its_phase_needs(trace):
    needed = {"X": {"dur", "args"}, "i": {"s", "args"}, "C": {"args"}, "M": {"args"}}
    for event in trace(*run_of_two_workers())["traceEvents"]:
        assert {"ph", "pid", "tid", "name", "ts"} | needed[event["ph"]] <= event.keys()
        assert isinstance(event["ts"], int)
        assert event.get("dur", 0) >= 0
        if event["ph"] == "C":
            assert all(isinstance(value, int | float) for value in event["args"].values())


def test_slices_of_a_track_are_nested_or_apart(trace):
    tracks = slices(trace(*run_of_two_workers()))
    assert sum(map(len, tracks.values())) > 40
    for of in tracks.values():
        open_ends = []
        for start, length, _ in of:
            while open_ends and open_ends[-1] <= start:
                open_ends.pop()
            assert not open_ends or start + length <= open_ends[-1]
            open_ends.append(start + length)


def test_calls_lie_in_the_slice_of_their_pe(trace):
    made = trace(*run_of_two_workers())
    names = {
        (event["pid"], event["args"]["name"]): event["tid"]
        for event in made["traceEvents"]
        if event["name"] == "thread_name"
    }
    outer = [it for it in slices(made)[1, names[1, "A0 0"]] if it[2] == "A0"]
    inner = [it for it in slices(made)[1, names[1, "A0 0"]] if it[2] == "in calls"]
    assert len(outer) == len(inner) == 19
    assert sum(length for _, length, _ in inner) == pytest.approx(19 / 4 * 1e6, abs=20)
    (slow,) = slices(made)[2, names[2, "A0 1, slowest calls"]]
    assert slow == (1_200_000, 6_000_000, "A0")


def test_the_time_of_zero_and_the_run_are_in_the_metadata(trace):
    about = trace(*run_of_two_workers())["otherData"]
    assert about["time_of_zero_utc"] == "2026-11-30T12:00:00+00:00"
    assert (about["mapping"], about["seed"]) == ("multi", 7)


def test_losses_failures_and_decisions_are_instants_and_counters(trace):
    events = trace(*run_of_two_workers())["traceEvents"]
    named = {event["name"]: event for event in events}
    assert named["worker 1 was lost"]["args"] == {"reason": "killed by SIGKILL"}
    assert named["ValueError in A0"]["args"]["item"] == "3"
    assert named["autoscaling"]["args"] == {"active": 1, "backlog": 0}
    assert named["A0 waiting"]["args"] == {"items": 19}
