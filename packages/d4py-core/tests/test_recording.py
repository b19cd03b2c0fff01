"""`run(..., record=True)`: the events of a run in its result, also of one that fails."""

import pytest

from dispel4py import ProcessingError, ProducerPE, WorkflowGraph, run
from dispel4py.events import InstanceReport, QueueReport, RunEnded, RunStarted
from dispel4py.observing.event_recording import EventRecording
from dispel4py.observing.limits import ObserverLimits


class Count(ProducerPE):
    def _process(self, inputs):
        return 10 // inputs["n"]


def graph():
    made = WorkflowGraph()
    made.add(Count())
    return made


def test_events_are_in_the_result_in_their_order():
    result = run(graph(), inputs=[{"n": n} for n in (1, 2, 5)], record=True)
    assert isinstance(result.events[0], RunStarted)
    assert isinstance(result.events[-1], RunEnded)
    reports = [event for event in result.events if isinstance(event, InstanceReport)]
    assert reports[-1].calls == 3
    assert [event.time for event in result.events] == sorted(e.time for e in result.events)


def test_without_it_there_are_none():
    assert run(graph(), inputs=[{"n": 1}]).events == []


def test_a_run_that_fails_has_them_too():
    with pytest.raises(ProcessingError) as caught:
        run(graph(), inputs=[{"n": 1}, {"n": 0}], record=True)
    ended = caught.value.result.events[-1]
    assert isinstance(ended, RunEnded)
    assert ended.outcome == "failed"


def test_a_long_run_keeps_the_first_and_the_latest_reports():
    recording = EventRecording(ObserverLimits(kept_reports=10))
    for time in range(1000):
        recording.on_event(InstanceReport(float(time), 0, "A0", 0, time))
        recording.on_event(QueueReport(float(time), "A0", time))
    events = recording.events()
    assert len(events) <= 20
    assert (events[0].time, events[-1].time) == (0.0, 999.0)


def test_without_the_command_a_report_says_what_to_install(monkeypatch):
    monkeypatch.setattr("dispel4py.result.find_object_reference", lambda group, name: None)
    from dispel4py.errors import OptionError

    with pytest.raises(OptionError, match=r"pip install 'd4py-cli\[report\]'"):
        run(graph(), inputs=[{"n": 1}]).report("run.html")
