"""The call monitor: one thread at a time runs the engine."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from core_helpers.threaded_graphs import LIMIT, Each, Root, chain, make_runner

from dispel4py.engine.calls.call_monitor import CallMonitor
from dispel4py.engine.calls.log_lines import LogLines
from dispel4py.engine.execution.executor import Executor
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.planning.plan import make_plan


@pytest.fixture
def monitor():
    monitor = CallMonitor()
    monitor.is_shared = True
    return monitor


def test_no_thread_enters_between_two_calls_or_while_the_caller_runs_the_engine(monitor):
    with monitor.entered() as is_entered:
        assert not is_entered
    monitor.caller = threading.get_ident()
    monitor.enter()
    with monitor.entered() as is_entered:
        assert not is_entered
    monitor.leave()
    with monitor.entered() as is_entered:
        assert is_entered
        with monitor.entered() as is_another:
            assert not is_another


def test_a_monitor_for_which_no_thread_can_be_started_is_closed(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")  # as with a limit on processes (ulimit -u)

    monkeypatch.setattr("dispel4py.engine.calls.call_monitor.UserCodeThread.start", start)
    monitor = CallMonitor(lambda: False)
    with monitor.changed, pytest.raises(RuntimeError, match="can't start"):
        monitor.request_flush()
    monitor.close()
    assert monitor.request_flush() == 1


@pytest.mark.parametrize("returns", ["enter", "wait_for_exit"])
def test_the_caller_waits_for_the_thread_that_has_entered(monitor, returns):
    steps = []
    there, may_go = threading.Event(), threading.Event()

    def enter():
        with monitor.entered() as is_entered:
            assert is_entered
            there.set()
            assert may_go.wait(LIMIT)
            steps.append("thread leaves")

    def return_to_engine():
        getattr(monitor, returns)()
        steps.append("caller returns")

    monitor.caller = threading.get_ident()
    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(enter)
        assert there.wait(LIMIT)
        if returns == "wait_for_exit":
            monitor.caller = 0
        caller = pool.submit(return_to_engine)
        may_go.set()
        other.result(LIMIT)
        caller.result(LIMIT)
    assert steps == ["thread leaves", "caller returns"]


def test_the_flush_thread_ends_without_requests():
    flushed = threading.Event()
    monitor = CallMonitor(lambda: bool(flushed.set()), limits=EngineLimits(flush_idle_seconds=0.05))
    monitor.is_shared, monitor.caller = True, threading.get_ident()
    before = threading.active_count()
    with monitor.changed:
        monitor.request_flush()
    assert flushed.wait(LIMIT)
    monitor.caller = 0
    until = time.monotonic() + LIMIT
    while threading.active_count() > before:
        assert time.monotonic() < until
        time.sleep(0.01)


class Keyed:
    """An item that is grouped by its number, and does something when the engine reads that."""

    def __init__(self, number, work):
        self.number, self.work = number, work

    def __getitem__(self, key):
        self.work(self.number)
        return self.number


@pytest.mark.parametrize("do", ["log", "write"])
def test_i5_no_thread_enters_while_the_engine_runs_code_of_an_item_that_logs_or_writes(do):
    """Two threads in the engine at once might lose or repeat what they send."""
    has_logged, got, together = threading.Event(), [], []
    inside = threading.Lock()

    def read_key(pe, number):
        if not inside.acquire(blocking=False):
            together.append(number)
            return
        if number == 1:
            if do == "log":
                pe.log("from the key")
            else:
                pe.write("output", Keyed(3, lambda number: None))
            has_logged.set()
            time.sleep(0.2)  # time for the flush thread to come in
        inside.release()

    def write_second(pe):
        assert has_logged.wait(LIMIT)
        pe.write("output", Keyed(2, lambda number: read_key(pe, number)))

    def work(pe):
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(write_second, pe)
            pe.write("output", Keyed(1, lambda number: read_key(pe, number)))
            second.result(LIMIT)

    keyed = Each(lambda pe, item: got.append(item.number))
    keyed.add_input("input", grouping=[0])
    limits = EngineLimits(linger_seconds=0.0)  # a write is sent at once
    plan = make_plan(chain(Root(work), keyed), limits=limits)
    executor = Executor(plan, None, log=lambda *line: None, copier=lambda item: item)
    executor.call_root(0, iter([{}]))
    assert together == []
    assert sorted(got) == ([1, 2] if do == "log" else [1, 2, 3])


def test_i4_an_object_may_log_when_python_frees_it_while_the_monitor_is_held():
    """The garbage collector may run at any time, also in a thread that holds the monitor's lock."""
    lines = LogLines(lambda *line: None)
    runner = make_runner(Each(None), lines=lines, on_thread_written=lambda runner: False)

    def log_inside():
        with runner.monitor.changed:
            runner.pe.log("from __del__")

    thread = threading.Thread(target=log_inside, daemon=True)
    thread.start()
    thread.join(LIMIT / 6)
    assert not thread.is_alive()
    runner.close()
