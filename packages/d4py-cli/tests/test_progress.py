"""Progress where there is no terminal, and logs of what happens in a run."""

import re

import pytest

from dispel4py.events import Failure, Message, RunEnded, RunStarted, read_events

LOGS = """
from dispel4py import IterativePE, ProducerPE, WorkflowGraph

class Count(ProducerPE):
    total = 0
    def _process(self, inputs):
        self.total += 1
        return self.total

class Picky(IterativePE):
    def _process(self, data):
        if data == 2:
            raise ValueError("two")
        self.log(f"got {data}")
        return data

graph = WorkflowGraph()
graph.connect(Count(), "output", Picky(), "input")
"""

WAITS = """
import time
from dispel4py import IterativePE, ProducerPE, WorkflowGraph

class Count(ProducerPE):
    def _process(self, inputs):
        return 1

class Waits(IterativePE):
    def _process(self, data):
        time.sleep(2.5)
        return data

graph = WorkflowGraph()
graph.connect(Count(), "output", Waits(), "input")
"""


@pytest.mark.parametrize("name", ["run.jsonl", "RUN.JSONL"])
def test_a_log_of_events_can_be_read(invoke, write, folder, name):
    write("wf.py", LOGS)
    done = invoke("simple", "wf.py", "-i", 3, "--on-error", "skip", "--log", name)
    assert done.status == 0
    with (folder / name).open() as lines:
        events = [*read_events(lines)]
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunEnded)
    texts = [(event.pe, event.text) for event in events if isinstance(event, Message)]
    assert texts == [("Picky1", "got 1"), ("Picky1", "got 3")]
    assert [event.item for event in events if isinstance(event, Failure)] == ["2"]


@pytest.mark.parametrize("mapping", ["simple", "multi"])
def test_a_log_has_the_messages_of_pes_also_of_a_quiet_run(dispel4py, write, folder, mapping):
    write("wf.py", LOGS)
    options = "-i", 1, "-n", 2, "-q", "--log", "run.jsonl"
    done = dispel4py(mapping, "wf.py", *options)
    assert (done.status, done.err) == (0, "")
    with (folder / "run.jsonl").open() as lines:
        texts = [event.text for event in read_events(lines) if isinstance(event, Message)]
    assert texts == ["got 1"]


def test_a_log_of_text_has_messages_failures_and_the_end(invoke, write, folder):
    write("wf.py", LOGS)
    invoke("simple", "wf.py", "-i", 3, "--on-error", "skip", "--log", "run.log")
    lines = (folder / "run.log").read_text().splitlines()
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z "
    assert all(re.match(stamp, line) for line in lines)
    texts = [re.sub(stamp, "", line) for line in lines]
    assert texts[0].startswith("simple started: 2 PEs, seed ")
    assert "INFO Picky1 (worker 0): got 1" in texts
    assert "FAILURE Picky1 (instance 0) in process at 2: ValueError: two" in texts
    assert "ValueError: two" in texts
    assert any(text.startswith("Picky1: 3 items, 1 failed, ") for text in texts)
    assert texts[-1].startswith("done after ")


@pytest.mark.parametrize("options", [[], ["--log", "run.log"]])
def test_a_line_says_how_far_a_run_is_that_lasts(invoke, write, options):
    write("wf.py", WAITS)
    done = invoke("simple", "wf.py", "--progress", "1.5", *options)
    assert done.status == 0
    line = done.err.splitlines()[0]
    assert re.match(r"[1-9]\.\d s, 1 of 1 inputs", line)
    assert "Waits1 0 done, 1 in progress" in line


def test_progress_may_be_put_off_for_ever(invoke, write):
    write("wf.py")
    done = invoke("simple", "wf.py", "--progress", "inf")
    assert (done.status, "Traceback" in done.err) == (0, False)


def test_a_failed_run_shows_the_results_that_it_had(invoke, write):
    write("wf.py", LOGS)
    done = invoke("simple", "wf.py", "-i", 5, "-q")
    assert done.status == 1
    assert done.out == "Outputs so far: {'Picky1': {'output': [1]}}\n"
    assert invoke("simple", "wf.py", "-i", 5, "-q", "--output", "out.jsonl").out == ""


@pytest.mark.parametrize(
    ("given", "problem"),
    [("0", "must be more than 0, not 0"), ("soon", "must be a number of seconds, not 'soon'")],
)
def test_seconds_that_cannot_be_are_refused(invoke, write, given, problem):
    write("wf.py")
    done = invoke("simple", "wf.py", "--progress", given)
    assert done.status == 2
    assert problem in done.err
