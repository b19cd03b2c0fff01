"""Workers that are stopped for long are logged, and killed after the limit."""

import logging
import os
import signal

import pytest

from dispel4py.errors import OptionError, WorkerLostError
from dispel4py.processes.process_table import State
from dispel4py.processes.workers import frozen_watch
from dispel4py.processes.workers.frozen_watch import FrozenWatch
from dispel4py.processes.workers.pool import WorkerPool
from dispel4py.processes.workers.start_methods import Start

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="reads /proc")


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is moved: its first item is the time."""
    now = [100.0]
    monkeypatch.setattr(frozen_watch, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def stopped(sleeper, await_state):
    """The pid of a process that was stopped."""
    sleeper.send_signal(signal.SIGSTOP)
    await_state(sleeper.pid, State.STOPPED)
    return sleeper.pid


def check(watch, clock, pid, times, step=1.0):
    found = []
    for _ in range(times):
        clock[0] += step
        found += watch.check([(3, pid)])
    return found


def test_c5_a_stopped_worker_is_logged_once_after_ten_seconds(clock, stopped, caplog):
    watch = FrozenWatch(name=lambda number: f"worker {number}, which ran Work1")
    with caplog.at_level(logging.WARNING, "dispel4py.run"):
        assert check(watch, clock, stopped, 9) == []
        assert caplog.messages == []
        assert check(watch, clock, stopped, 30) == []
    (message,) = caplog.messages
    assert message.startswith("worker 3, which ran Work1: its process has been stopped (SIGSTOP")
    assert message.endswith(f"for 10 s; to let it go on: kill -CONT {stopped}")


def test_c5_a_stopped_worker_is_returned_after_the_limit(clock, stopped):
    watch = FrozenWatch.of({"frozen_timeout": 5.0})
    assert check(watch, clock, stopped, 4) == []
    ((number, pid, cause),) = check(watch, clock, stopped, 1)
    assert (number, pid) == (3, stopped)
    assert cause == "it was stopped (SIGSTOP or a debugger) for 5 s"


def test_a_limit_of_0_means_never(clock, stopped):
    assert check(FrozenWatch.of({"frozen_timeout": 0}), clock, stopped, 1000) == []


def test_a_worker_that_was_continued_is_counted_anew(clock, stopped, sleeper, await_state):
    watch = FrozenWatch(5.0)
    check(watch, clock, stopped, 4)
    sleeper.send_signal(signal.SIGCONT)
    await_state(stopped, State.RUNNING)
    assert check(watch, clock, stopped, 100) == []


def test_the_time_for_which_the_driver_was_stopped_as_well_does_not_count(clock, stopped):
    watch = FrozenWatch(5.0)
    assert check(watch, clock, stopped, 2, step=3600.0) == []


@pytest.mark.parametrize("limit", [-1.0, float("nan")])
def test_a_negative_limit_is_refused(limit):
    with pytest.raises(OptionError, match="it must be at least 0 seconds"):
        FrozenWatch.of({"frozen_timeout": limit})


def _stop(side):
    os.kill(os.getpid(), signal.SIGSTOP)


def test_c5_a_pool_kills_a_frozen_worker():
    pool = WorkerPool(_stop, [()], Start("fork"), FrozenWatch(1.0))
    try:
        with pytest.raises(WorkerLostError, match="it was stopped"):
            pool.wait_until_ended()
        assert pool.join(60.0)
    finally:
        pool.stop()
