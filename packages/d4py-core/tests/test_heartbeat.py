"""What the state of a process is, as the system tells it, and who is told of a stopped one."""

import logging
import os
import signal
import subprocess
import sys
import time

import pytest

from dispel4py.errors import OptionError, WorkerLostError
from dispel4py.processes import heartbeat
from dispel4py.processes.heartbeat import FrozenWatch, State, is_running, state_of
from dispel4py.processes.pool import WorkerPool
from dispel4py.processes.start_methods import Start

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="reads /proc")


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def await_state(pid, state):
    while state_of(pid) is not state:  # the time limit of tests ends this
        time.sleep(0.005)


def test_a_process_that_waits_runs(sleeper):
    assert state_of(sleeper.pid) is State.RUNNING
    assert is_running(sleeper.pid)


def test_a_stopped_process_is_known_until_it_is_continued(sleeper):
    sleeper.send_signal(signal.SIGSTOP)
    await_state(sleeper.pid, State.STOPPED)
    assert not is_running(sleeper.pid)
    sleeper.send_signal(signal.SIGCONT)
    await_state(sleeper.pid, State.RUNNING)


def test_a_process_for_which_nobody_has_waited_has_ended(sleeper):
    sleeper.kill()
    await_state(sleeper.pid, State.ENDED)
    sleeper.wait()
    assert state_of(sleeper.pid) is State.ENDED


def test_a_long_call_in_which_no_other_thread_gets_on_counts_as_running():
    call = "print(flush=True); sum(range(10**12))"
    with subprocess.Popen([sys.executable, "-c", call], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert all(is_running(process.pid) for _ in range(100))
        process.kill()


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is moved: its first item is the time."""
    now = [100.0]
    monkeypatch.setattr(heartbeat, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def stopped(sleeper):
    """The number of a process that was stopped."""
    sleeper.send_signal(signal.SIGSTOP)
    await_state(sleeper.pid, State.STOPPED)
    return sleeper.pid


def look(watch, clock, pid, times, step=1.0):
    found = []
    for _ in range(times):
        clock[0] += step
        found += watch.look([(3, pid)])
    return found


def test_c5_a_stopped_worker_is_named_once_after_ten_seconds(clock, stopped, caplog):
    watch = FrozenWatch(name=lambda number: f"worker {number}, which ran Work1")
    with caplog.at_level(logging.WARNING, "dispel4py.run"):
        assert look(watch, clock, stopped, 9) == []
        assert caplog.messages == []
        assert look(watch, clock, stopped, 30) == []
    (message,) = caplog.messages
    assert message.startswith("worker 3, which ran Work1: its process has been stopped (SIGSTOP")
    assert message.endswith(f"for 10 s; to let it go on: kill -CONT {stopped}")


def test_c5_it_is_given_up_after_the_limit(clock, stopped):
    watch = FrozenWatch.of({"frozen_timeout": 5.0})
    assert look(watch, clock, stopped, 4) == []
    ((number, pid, cause),) = look(watch, clock, stopped, 1)
    assert (number, pid) == (3, stopped)
    assert cause == "it was stopped (SIGSTOP or a debugger) for 5 s"


def test_a_limit_of_0_is_none(clock, stopped):
    assert look(FrozenWatch.of({"frozen_timeout": 0}), clock, stopped, 1000) == []


def test_a_worker_that_goes_on_begins_anew(clock, stopped, sleeper):
    watch = FrozenWatch(5.0)
    look(watch, clock, stopped, 4)
    sleeper.send_signal(signal.SIGCONT)
    await_state(stopped, State.RUNNING)
    assert look(watch, clock, stopped, 100) == []


def test_the_time_for_which_the_driver_was_stopped_as_well_does_not_count(clock, stopped):
    watch = FrozenWatch(5.0)
    assert look(watch, clock, stopped, 2, step=3600.0) == []


@pytest.mark.parametrize("limit", [-1.0, float("nan")])
def test_a_limit_below_0_is_refused(limit):
    with pytest.raises(OptionError, match="it must be at least 0 seconds"):
        FrozenWatch.of({"frozen_timeout": limit})


def _stop(side):
    os.kill(os.getpid(), signal.SIGSTOP)


def test_c5_a_crew_kills_a_worker_that_it_gives_up():
    pool = WorkerPool(_stop, [()], Start("fork"), FrozenWatch(1.0))
    try:
        with pytest.raises(WorkerLostError, match="it was stopped"):
            pool.wait_until_ended()
        assert pool.join(5.0)
    finally:
        pool.stop()
