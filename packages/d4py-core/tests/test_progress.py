"""How far a run is, from its events."""

import re
import shutil
import sys
import threading

import pytest

from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.engine.run_events import LateEvents, RunEvents
from dispel4py.events import (
    EdgeDescription,
    Failure,
    InstanceReport,
    PEDescription,
    QueueReport,
    RunEnded,
    RunStarted,
    WorkerStarted,
)
from dispel4py.observing.event_stream import EventStream
from dispel4py.observing.limits import ProgressLimits
from dispel4py.observing.progress import RunProgress
from dispel4py.observing.progress_lines import ProgressLines
from dispel4py.observing.shown_progress import ProgressTable, show_progress


def started(inputs=100, instances=1):
    return RunStarted(
        0.0,
        "2026-11-30T12:00:00+00:00",
        "multi",
        2,
        (
            PEDescription("Read0", "Read", "wf.Read", 1, True),
            PEDescription("Slow1", "Slow", "wf.Slow", instances, False),
        ),
        (EdgeDescription("Read0", "output", "Slow1", "input", "shuffle"),),
        {"Read0": inputs},
    )


def read(time, calls, seconds=0.0, **more):
    return InstanceReport(time, 0, "Read0", 0, calls, {"output": calls}, seconds, **more)


def slow(time, calls, seconds, worker=1, instance=0, **more):
    return InstanceReport(time, worker, "Slow1", instance, calls, {}, seconds, **more)


@pytest.fixture
def progress():
    found = RunProgress()
    found.on_event(started())
    return found


def observed(progress, *events):
    for event in events:
        progress.on_event(event)
    return {row.pe_id: row for row in progress.rows()}


def test_before_any_worker_has_begun_a_pe_is_starting(progress):
    assert observed(progress)["Slow1"].state == "starting"
    assert observed(progress, WorkerStarted(1.0, 0))["Slow1"].state == "waiting for input"


def test_a_pe_in_a_long_call_is_busy_and_the_slowest(progress):
    rows = observed(progress, read(1.0, 100, is_done=True), slow(1.0, 0, 0.0, in_call_since=0.5))
    assert (rows["Slow1"].state, rows["Slow1"].in_progress) == ("busy", 1)
    (_, later) = progress.rows(5.5)
    assert later.seconds == 5.0
    assert later.busy == pytest.approx(1.0)
    assert later.is_slowest
    assert rows["Read0"].state == "done"


def test_the_rate_is_that_of_the_last_seconds(progress):
    observed(progress, slow(1.0, 0, 0.0), slow(11.0, 1000, 1.0))
    assert progress.rows(11.0)[1].rate == pytest.approx(100.0)
    observed(progress, slow(21.0, 1004, 9.0))
    assert progress.rows(21.0)[1].rate == pytest.approx(0.4)


def test_instances_are_added_up_and_their_share_is_that_of_each(progress):
    events = [slow(1.0, 0, 0.0, 1, 0), slow(1.0, 0, 0.0, 2, 1)]
    events += [slow(3.0, 5, 1.0, 1, 0), slow(3.0, 7, 2.0, 2, 1)]
    row = observed(progress, *events)["Slow1"]
    assert (row.instances, row.calls, row.seconds) == (2, 12, 3.0)
    assert row.busy == pytest.approx(3.0 / (2 * 2.0))


def test_a_pe_waits_for_one_that_is_behind(progress):
    rows = observed(progress, read(1.0, 5, blocked_by="Slow1"), QueueReport(1.0, "Slow1", 7))
    assert rows["Read0"].state == "blocked by Slow1"
    assert rows["Slow1"].waiting == 7


def test_the_work_that_is_left_follows_from_what_pes_have_made(progress):
    observed(progress, read(1.0, 100, 0.1, is_done=True), slow(1.0, 0, 0.0))
    observed(progress, slow(11.0, 20, 10.0))
    total = progress.total(11.0)
    assert (total.calls, total.inputs) == (100, 100)
    assert total.share == pytest.approx(10.1 / 50.1)
    assert total.seconds_left == pytest.approx(40.0)


def test_without_a_number_of_inputs_there_is_no_share():
    progress = RunProgress()
    observed(progress, started(inputs=None), read(1.0, 5))
    total = progress.total()
    assert (total.calls, total.inputs, total.share, total.seconds_left) == (5, None, None, None)


def test_the_end_says_which_pe_has_failed(progress):
    failure = Failure(2.0, "Slow1", 0, "process", "ValueError", "three")
    rows = observed(progress, slow(1.0, 3, 0.5), failure, RunEnded(2.0, "failed", 2.0, "three"))
    assert [rows[pe_id].state for pe_id in ("Read0", "Slow1")] == ["stopped", "failed"]
    assert progress.total().outcome == "failed"


def test_at_the_end_rates_are_those_of_the_run(progress):
    rows = observed(progress, slow(1.0, 30, 1.0, is_done=True), RunEnded(10.0, "done", 10.0))
    assert (rows["Slow1"].rate, rows["Slow1"].state) == (3.0, "done")
    assert progress.total().share == 1.0


class Tick(ProducerPE):
    def _process(self, inputs):
        return 1


class Waits(IterativePE):
    """Waits until something has been written."""

    ignored_state = ("written",)

    def __init__(self, written):
        super().__init__()
        self.written = written

    def _process(self, data):
        assert self.written.wait(60)
        return data


def waiting_graph(written):
    graph = WorkflowGraph()
    graph.connect(Tick(), "output", Waits(written), "input")
    return graph


@pytest.mark.timeout(60)
def test_lines_are_written_while_a_call_lasts():
    lines, written = [], threading.Event()

    def write(line):
        lines.append(line)
        if "in progress" in line:
            written.set()

    limits = ProgressLimits(first_seconds=0.05, growth=1.0)
    run(waiting_graph(written), inputs=1, observers=[ProgressLines(write, limits)])
    # Where the machine is slow, the call of the root goes on while what it wrote is processed.
    assert re.search("[01] of 1 inputs", lines[-1])
    assert "Waits1 0 done, 1 in progress" in lines[-1]


@pytest.mark.timeout(60)
def test_events_of_a_run_that_lasts_are_made_late():
    lines, written, made = [], threading.Event(), []

    def write(line):
        lines.append(line)
        if "in progress" in line:
            written.set()

    def make(age):
        made.append(age)
        limits = ProgressLimits(first_seconds=0.1, growth=1.0)
        return EventStream([ProgressLines(write, limits, passed=0.1)], age)

    run(waiting_graph(written), inputs=1, observers=[LateEvents(0.1, make)])
    assert len(made) == 1
    assert made[0] >= 0.1
    assert float(lines[0].partition(" s")[0]) >= 0.1
    assert "Waits1 0 done, 1 in progress" in lines[-1]
    written.set()
    run(waiting_graph(written), inputs=1, observers=[LateEvents(60.0, make)])
    assert len(made) == 1


@pytest.mark.timeout(60)
def test_a_run_that_ends_while_its_events_are_made_has_none(monkeypatch):
    is_made, has_ended, begun = threading.Event(), threading.Event(), []

    class Made(RunEvents):
        def begin(self, *arguments):
            begun.append(arguments)

    def make(age):
        is_made.set()
        has_ended.wait()
        return Made()

    late = LateEvents(0.01, make)
    join = late._timer.join

    def join_once_ended():
        has_ended.set()
        join()

    monkeypatch.setattr(late._timer, "join", join_once_ended)
    run(waiting_graph(is_made), inputs=1, observers=[late])
    assert begun == []
    assert not late._timer.is_alive()


@pytest.mark.timeout(60)
def test_no_thread_of_a_run_is_left_when_it_returns():
    """A thread that is left as the program ends keeps what it refers to from being finalized."""

    class WritesOnAThread(IterativePE):
        def _process(self, data):
            thread = threading.Thread(target=self.write, args=("output", data))
            thread.start()
            thread.join()

    graph = WorkflowGraph()
    graph.add(pe := WritesOnAThread())
    before, left, interval = {*threading.enumerate()}, [], sys.getswitchinterval()
    sys.setswitchinterval(60)  # so that threads go on only where this one waits
    try:
        for make in (lambda: LateEvents(60.0, RunEvents), lambda: ProgressLines(print)) * 20:
            run(graph, inputs={pe: ({"input": n} for n in range(3))}, observers=[make()])
            left += {*threading.enumerate()} - before
    finally:
        sys.setswitchinterval(interval)
    assert left == []


class Display:
    """`IPython.display.display` and the handle that it returns."""

    def __init__(self):
        self.shown = []

    def __call__(self, shown, display_id):
        assert display_id is True
        self.update(shown)
        return self

    def update(self, shown):
        self.shown.append((repr(shown), shown._repr_html_()))


def test_a_notebook_gets_a_table_that_is_replaced():
    display, written = Display(), threading.Event()
    written.set()
    run(waiting_graph(written), inputs=3, observers=[ProgressTable(display)])
    assert display.shown[0][1] == "starting"
    text, html = display.shown[-1]
    assert "Waits1 3 done" in text
    assert html.startswith("<table><caption")
    assert '<td style="text-align:left">Waits1</td><td style="text-align:right">3</td>' in html
    assert html.count("done</td>") + html.count("done (slowest)</td>") == 2


def test_outside_of_a_notebook_lines_are_printed():
    assert isinstance(show_progress(), ProgressLines)


def test_graphs_results_and_statistics_are_shown_as_html():
    written = threading.Event()
    written.set()
    graph = waiting_graph(written)
    result = run(graph, inputs=2)
    assert "<caption" in result.stats._repr_html_()
    assert "Waits1" in result.stats._repr_html_()
    assert ">1, 1</td>" in result._repr_html_()
    svg = graph._repr_svg_()
    assert svg is None or "<svg" in svg
    if shutil.which("dot"):
        assert svg is not None
