"""Process states as the system lists them."""

import os
import signal
import subprocess
import sys

import pytest

from dispel4py.processes.process_table import State, is_running, state_of

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="reads /proc")


def test_a_waiting_process_is_running(sleeper):
    assert state_of(sleeper.pid) is State.RUNNING
    assert is_running(sleeper.pid)


def test_a_stopped_process_is_known_until_it_is_continued(sleeper, await_state):
    sleeper.send_signal(signal.SIGSTOP)
    await_state(sleeper.pid, State.STOPPED)
    assert not is_running(sleeper.pid)
    sleeper.send_signal(signal.SIGCONT)
    await_state(sleeper.pid, State.RUNNING)


def test_an_unwaited_process_has_ended(sleeper, await_state):
    sleeper.kill()
    await_state(sleeper.pid, State.ENDED)
    sleeper.wait()
    assert state_of(sleeper.pid) is State.ENDED


def test_a_process_in_a_long_call_that_keeps_the_gil_is_running():
    call = "print(flush=True); sum(range(10**12))"
    with subprocess.Popen([sys.executable, "-c", call], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert all(is_running(process.pid) for _ in range(100))
        process.kill()
