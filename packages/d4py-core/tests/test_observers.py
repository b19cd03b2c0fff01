"""Observers of a run: what `run` does with them, whatever the mapping (C8, C9)."""

import logging
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from dispel4py import IterativePE, ProcessingError, ProducerPE, WorkflowGraph, run
from dispel4py.engine.limits import EngineLimits
from dispel4py.errors import OptionError
from dispel4py.events import (
    Failure,
    InstanceReport,
    Message,
    QueueReport,
    RunEnded,
    RunStarted,
    Scaled,
    SlowCall,
)
from dispel4py.mappings.simple import SimpleMapping
from dispel4py.observing.limits import ObserverLimits
from dispel4py.observing.observer_queue import ObserverQueue


class Count(ProducerPE):
    number = 0
    stateful = True

    def _process(self, inputs):
        self.number += 1
        return self.number


class Picky(IterativePE):
    def _process(self, data):
        if data == 3:
            raise ValueError("three")
        self.log(f"got {data}")
        return data


class Record:
    def __init__(self):
        self.events = []

    def on_event(self, event):
        self.events.append(event)

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


def graph_of(*pes):
    graph = WorkflowGraph()
    for source, destination in pairwise(pes):
        graph.connect(source, "output", destination, "input")
    return graph


def test_c8_lines_that_pes_log_are_events_and_are_shown():
    record, shown = Record(), []
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda line: shown.append(line.getMessage())
    logging.getLogger("dispel4py").addHandler(handler)
    try:
        run(graph_of(Count(), Picky()), inputs=2, observers=[record])
    finally:
        logging.getLogger("dispel4py").removeHandler(handler)
    assert [(m.pe, m.worker, m.text) for m in record.of(Message)] == [
        ("Picky1", 0, "got 1"),
        ("Picky1", 0, "got 2"),
    ]
    assert shown == ["Picky1 (rank 0): got 1", "Picky1 (rank 0): got 2"]


def test_c8_the_first_event_says_where_the_classes_of_pes_are():
    record = Record()
    run(graph_of(Count(), Picky()), observers=[record])
    picky = record.of(RunStarted)[0].pes[1]
    assert (picky.id, picky.name, picky.file) == ("Picky1", "Picky", __file__)
    lines = Path(__file__).read_text().splitlines()
    assert {"class Picky", "    def _process"} & {lines[picky.line - 1].partition("(")[0]}


def test_c8_a_refused_run_has_no_events():
    record = Record()
    with pytest.raises(OptionError):
        run(graph_of(Count(), Picky()), inputs=1, processes=0, observers=[record])
    with pytest.raises(OptionError, match="observer"):
        run(graph_of(Count(), Picky()), observers=[print])
    assert record.events == []


def test_c9_a_failure_is_the_last_event_but_one_and_the_results_are_kept():
    record = Record()
    with pytest.raises(ProcessingError) as failed:
        run(graph_of(Count(), Picky()), inputs=5, observers=[record])
    *_, failure, ended = record.events
    assert isinstance(failure, Failure)
    assert (failure.pe, failure.item, failure.count) == ("Picky1", "3", 1)
    assert "three" in failure.traceback
    assert isinstance(ended, RunEnded)
    assert ended.outcome == "failed"
    assert failed.value.result.outputs["Picky1"]["output"] in ([1], [1, 2])


def test_c9_results_are_kept_without_observers():
    with pytest.raises(ProcessingError) as failed:
        run(graph_of(Count(), Picky()), inputs=5)
    # What is in one batch with an item that fails is lost, and batches grow by time.
    assert failed.value.result.outputs["Picky1"]["output"] in ([1], [1, 2])
    assert failed.value.result.stats.seconds > 0


def test_c8_an_interrupt_is_an_end():
    record = Record()

    def interrupt(pe_id, output, data):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(graph_of(Count(), Picky()), inputs=5, on_result=interrupt, observers=[record])
    assert record.of(RunEnded)[0].outcome == "interrupted"


def test_c8_no_thread_is_left():
    before = threading.active_count()
    run(graph_of(Count(), Picky()), inputs=2, observers=[Record()])
    assert threading.active_count() <= before  # others may end


def test_c8_slow_calls_are_reported_with_their_items():
    record, ticks = Record(), iter(range(10_000))
    # Each look at the clock takes a second, so every call is slow.
    mapping = SimpleMapping(EngineLimits(slow_calls=2), clock=lambda: float(next(ticks)))
    run(graph_of(Count(), Picky()), mapping, 2, observers=[record])
    assert {call.item for call in record.of(SlowCall) if call.pe == "Picky1"} == {"1", "2"}
    assert all(call.seconds > 0 for call in record.of(SlowCall))


class Blocked(Record):
    """An observer that handles nothing until it may."""

    def __init__(self):
        super().__init__()
        self.entered, self.may_go_on = threading.Event(), threading.Event()

    def on_event(self, event):
        self.entered.set()
        assert self.may_go_on.wait(60)
        super().on_event(event)


def report(calls, pe="A0"):
    return InstanceReport(0.0, 0, pe, 0, calls)


def test_c8_a_slow_observer_gets_the_last_reports_and_all_other_events_in_order():
    observer = Blocked()
    queue = ObserverQueue(observer, ObserverLimits())
    started = RunStarted(0.0, "", "simple", 1, (), (), {})
    queue.start()
    queue.put(started)
    assert observer.entered.wait(60)
    for calls in range(1000):
        queue.put(report(calls))
        queue.put(report(calls, "B1"))
        queue.put(QueueReport(0.0, "A0", calls))
        if calls % 500 == 0:
            queue.put(Scaled(0.0, calls, 0))
    observer.may_go_on.set()
    queue.close()
    assert observer.events == [
        started,
        Scaled(0.0, 0, 0),
        Scaled(0.0, 500, 0),
        report(999),
        report(999, "B1"),
        QueueReport(0.0, "A0", 999),
    ]


def test_c8_what_a_slow_observer_misses_is_counted():
    observer = Blocked()
    queue = ObserverQueue(observer, ObserverLimits(waiting_events=3))
    queue.start()
    queue.put(report(0))
    assert observer.entered.wait(60)
    for number in range(10):
        queue.put(Message(0.0, "INFO", str(number)))
    ended = RunEnded(1.0, "done", 1.0)
    queue.put(ended)
    observer.may_go_on.set()
    queue.close()
    texts = [event.text for event in observer.of(Message)]
    assert texts[:3] == ["0", "1", "2"]
    assert texts[3].startswith("7 events were left out")
    assert observer.of(RunEnded) == [ended]


@pytest.mark.parametrize(("seconds", "missed"), [(60.0, 0), (0.0, 7)])
def test_c8_where_too_much_waits_the_run_waits_a_while_for_one_that_needs_all(seconds, missed):
    observer = Blocked()
    observer.needs_all_events = True
    queue = ObserverQueue(observer, ObserverLimits(waiting_events=3, wait_seconds=seconds))
    queue.start()
    queue.put(report(0))
    assert observer.entered.wait(60)
    for number in range(3):
        queue.put(Message(0.0, "INFO", str(number)))
    if seconds:
        observer.may_go_on.set()
    for number in range(3, 10):
        queue.put(Message(0.0, "INFO", str(number)))
    observer.may_go_on.set()
    queue.close()
    texts = [event.text for event in observer.of(Message)]
    assert texts[: 10 - missed] == [str(number) for number in range(10 - missed)]
    assert texts[10 - missed :] == [
        f"{missed} events were left out, as this observer is slow" for _ in range(missed > 0)
    ]


def test_c8_one_that_needs_all_and_logs_does_not_wait_for_itself():
    class Logs(Record):
        needs_all_events = True

        def on_event(self, event):
            super().on_event(event)
            if len(self.events) == 1:
                for number in range(5):
                    queue.put(Message(0.0, "INFO", str(number)))

    observer = Logs()
    queue = ObserverQueue(observer, ObserverLimits(waiting_events=3, wait_seconds=3600.0))
    queue.start()
    queue.put(report(0))
    while len(observer.events) < 4:
        assert queue._thread.is_alive()
    queue.close()


def test_c8_a_run_does_not_wait_for_an_observer_that_hangs(caplog):
    observer = Blocked()
    queue = ObserverQueue(observer, ObserverLimits(end_seconds=0.0))
    queue.start()
    queue.put(report(0))
    queue.close()
    assert "is slow" in caplog.text
    observer.may_go_on.set()
