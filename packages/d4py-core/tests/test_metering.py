"""The meter of a process: what it reports of its instances, and when (C8)."""

import threading
from types import SimpleNamespace

import pytest

from dispel4py import GenericPE, IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.engine.execution.executor import Executor
from dispel4py.engine.execution.metering import Meter
from dispel4py.engine.inputs import calls
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.planning.plan import make_plan


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Count(ProducerPE):
    number = 0
    stateful = True

    def _process(self, inputs):
        self.number += 1
        return self.number


class Then(IterativePE):
    """Does something with each item."""

    def __init__(self, do):
        super().__init__()
        self.do = do

    def _process(self, data):
        self.do(data)
        return data


class Drop:
    def send(self, *items):
        raise AssertionError(items)

    def result(self, pe_id, output, items):
        pass


class Metered:
    """A chain of a root and one PE in one executor."""

    def __init__(self, do, limits=EngineLimits(), clock=None):
        graph = WorkflowGraph()
        graph.connect(Count(), "output", Then(do), "input")
        self.plan = make_plan(graph, limits=limits)
        self.reports = []
        self.clock = clock or Clock()
        self.meter = Meter(self.plan, 7, self.reports.append, clock=self.clock)
        self.executor = Executor(self.plan, Drop(), meter=self.meter, clock=self.clock)

    def run(self, count):
        with self.executor.closing():
            inputs = calls(self.plan.pes[0], count)
            while self.executor.call_root(0, inputs):
                pass
            for pe in self.plan.order:
                self.executor.finish(pe, 0)

    def last(self):
        found = {}
        for report in self.reports:
            found |= {one.pe_id: one for one in report.instances}
        return found


def test_c8_counts_are_reported_once_at_least_and_then_at_most_so_often():
    metered = Metered(lambda data: None)
    metered.run(1000)
    assert len(metered.reports) == 2  # the clock stands still
    assert {report.worker for report in metered.reports} == {7}
    last = metered.last()
    assert [(one.calls, one.items_out, one.is_done) for one in last.values()] == [
        (1000, {"output": 1000}, True)
    ] * 2


@pytest.mark.timeout(60)
def test_c8_a_long_call_is_reported_while_it_lasts():
    clock, reported, in_call = Clock(), threading.Event(), []

    def take_long(data):
        clock.now += 5.0
        reported.wait(50)

    metered = Metered(take_long, EngineLimits(report_seconds=0.02), clock)

    def note(report):
        clock.now += 1.0  # the next report is due
        found = [one for one in report.instances if one.in_call is not None]
        if any(one.pe_id == "Then1" for one in found):
            in_call.extend(found)
            reported.set()

    metered.meter._send = note
    metered.run(1)
    assert [(one.pe_id, one.calls) for one in in_call] == [("Then1", 0)]
    assert in_call[0].in_call == 5.0


@pytest.mark.timeout(60)
def test_c8_a_report_that_is_requested_is_sent_after_the_batch():
    metered = Metered(lambda data: None)
    executor, meter = metered.executor, metered.meter
    executor.call_root(0, calls(metered.plan.pes[0], 1))
    meter.is_requested = True
    executor.call_root(0, calls(metered.plan.pes[0], 1))
    assert not meter.is_requested
    assert metered.last()["Count0"].calls == 2
    executor.close_all()
    meter.stop()


def test_c8_a_process_that_waits_reports_what_it_waits_for():
    metered = Metered(lambda data: None)
    executor, meter, clock = metered.executor, metered.meter, metered.clock
    executor.call_root(0, calls(metered.plan.pes[0], 1))
    assert meter.wait() == EngineLimits().report_seconds
    clock.now += 1.0
    assert meter.wait([1]) == float("inf")
    assert metered.last()["Count0"].calls == 1
    assert metered.last()["Count0"].blocked_by == "Then1"
    count = len(metered.reports)
    clock.now += 1.0
    assert meter.wait([1]) == float("inf")
    assert len(metered.reports) == count  # nothing has changed
    executor.close_all()
    meter.stop()


def test_c8_an_instance_that_comes_back_goes_on_counting():
    metered = Metered(lambda data: None)
    for _ in range(2):
        metered.executor.push(1, 0, "input", [1, 2])
        metered.executor.drain()
        metered.executor.close(1, 0)
    metered.meter.finish()
    assert metered.last()["Then1"].calls == 4
    assert metered.last()["Then1"].items_out == {"output": 4}


def test_c8_failures_and_queues_are_reported():
    def fail(data):
        raise ValueError(data)

    plan = Metered(fail).plan
    reports, queues = [], [[("Then1", 5)], []]
    meter = Meter(plan, 0, reports.append, queues=lambda: queues[len(reports) > 0])
    executor = Executor(plan, Drop(), meter=meter, on_error=lambda error, item: None)
    executor.push(1, 0, "input", [1, 2, 3])
    executor.drain()
    executor.close_all()
    meter.finish()
    assert reports[-1].instances[-1].failures == 3
    assert [report.queues for report in reports] == [[("Then1", 5)], [("Then1", 0)]]


def test_c8_bytes_of_large_items_are_counted():
    class Writes(GenericPE):
        def __init__(self):
            super().__init__()
            self._add_output("blob")

        def process(self, inputs):
            self.write("blob", bytes(100_000))

    graph = WorkflowGraph()
    graph.add(Writes())
    plan, reports = make_plan(graph), []
    meter = Meter(plan, 0, reports.append)
    executor = Executor(plan, Drop(), meter=meter)
    with executor.closing():
        executor.call_root(0, calls(plan.pes[0], 1))
        executor.call_root(0, calls(plan.pes[0], 1))
    assert reports[-1].instances[0].items_out == {"blob": 2}
    assert reports[-1].instances[0].bytes_out["blob"] >= 200_000


def test_c3_ctrl_c_as_the_thread_of_reports_starts_comes_out_as_it_is(monkeypatch):
    start = threading.Thread.start

    def interrupted(thread):
        if thread.name == "d4py-report":
            raise KeyboardInterrupt
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    graph = WorkflowGraph()
    graph.add(Count())
    with pytest.raises(KeyboardInterrupt):
        run(graph, observers=[SimpleNamespace(on_event=lambda event: None)])
