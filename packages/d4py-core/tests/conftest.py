"""What all tests of core share."""

import subprocess
import time

import pytest
from hypothesis import settings

from dispel4py.processes.process_table import state_of

# A busy machine is no failure, and a failure on one machine is one on all.
settings.register_profile("d4py", deadline=None, derandomize=True)
settings.load_profile("d4py")


@pytest.fixture
def sleeper():
    """A process that sleeps."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def await_state():
    """Waits until a process is in a state: ``await_state(pid, state)``."""

    def wait(pid, state):
        while state_of(pid) is not state:  # the time limit of tests ends this
            time.sleep(0.005)

    return wait
