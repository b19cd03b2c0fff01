"""A record that is slow: the run is over, and its last events have not been taken."""

import json
import threading

import pytest

from d4py_cli.observing.record import Record
from d4py_cli.records import guarded_record
from d4py_cli.records.guarded_record import GuardedRecord
from d4py_cli.report.environment import WorkflowSources
from d4py_cli.runs.run_folder import RUN, RunFolder
from d4py_conformance.waiting import LIMIT
from dispel4py.events import Message, RunEnded, RunStarted
from dispel4py.result import RunResult, RunStats

STARTED = RunStarted(0.0, "", "simple", 1, (), (), {})


class Slow(Record):
    """Takes an event when it may, and keeps what it had taken when it was to be written."""

    def __init__(self):
        super().__init__()
        self.may_go_on = threading.Event()
        self.taken, self.written = [], None

    def on_event(self, event):
        super().on_event(event)
        if not isinstance(event, RunStarted):
            assert self.may_go_on.wait(LIMIT)
        self.taken.append(event)

    def write(self):
        self.written = [*self.taken]


@pytest.fixture
def slow():
    record = Slow()
    yield record
    record.may_go_on.set()


def begin(record, *events):
    """Give a guarded record events, as the thread of an observer does."""
    guarded = GuardedRecord(record, "--log", WorkflowSources())
    guarded.on_event(STARTED)

    def give():
        for event in events:
            guarded.on_event(event)

    thread = threading.Thread(target=give, daemon=True)
    thread.start()
    return guarded, thread


def test_it_is_written_once_it_has_all_events(slow, monkeypatch):
    events = [Message(0.0, "INFO", "late"), RunEnded(1.0, "done", 1.0)]
    guarded, _ = begin(slow, *events)
    said = []

    def go_on(text):
        said.append(text)
        slow.may_go_on.set()

    monkeypatch.setattr(guarded_record, "_SILENT_SECONDS", 0.0)
    monkeypatch.setattr(guarded_record, "print_message", go_on)
    guarded.__exit__(None, None, None)
    assert slow.written[1:] == events
    assert said == ["waiting until --log is written; Ctrl-C ends that"]
    assert guarded.error is None


def test_one_that_takes_none_any_more_is_not_waited_for(slow, monkeypatch, capsys):
    guarded, _ = begin(slow, RunEnded(1.0, "done", 1.0))
    monkeypatch.setattr(guarded_record, "_SILENT_SECONDS", 0.0)
    monkeypatch.setattr(guarded_record, "_STUCK_SECONDS", 0.0)
    guarded.__exit__(None, None, None)
    assert "the run ended before all of its events had been taken" in str(guarded.error)
    assert "(--log)" in capsys.readouterr().err


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("a bug")])
def test_one_that_failed_is_not_waited_for(slow, monkeypatch, error):
    def fail(event):
        raise error

    monkeypatch.setattr(slow, "on_event", fail)
    monkeypatch.setattr(guarded_record, "_SILENT_SECONDS", LIMIT)
    guarded = GuardedRecord(slow, "--log", WorkflowSources())
    if isinstance(error, OSError):
        guarded.on_event(RunEnded(1.0, "done", 1.0))
    else:
        with pytest.raises(ValueError, match="a bug"):
            guarded.on_event(STARTED)
    assert guarded._taken.wait(0.0)


def test_a_folder_of_a_run_that_is_done_says_so_without_its_last_event(tmp_path):
    folder = RunFolder(str(tmp_path))
    folder.on_event(STARTED)
    folder.finish(RunResult({}, [], RunStats("simple", 1)))
    folder.write()
    assert json.loads((folder.path / RUN).read_text())["state"] == "done"
