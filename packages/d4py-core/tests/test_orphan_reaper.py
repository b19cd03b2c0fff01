"""Rule C4: what goes on after this process was killed is ended, and nothing else."""

import os
import signal
import subprocess
import sys
import time

import pytest

from dispel4py.processes.process_table import find_process

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for processes in /proc")

LIMIT = 30.0
#: Starts processes that last, prints their numbers and that of the shell, and is killed.
PROGRAM = """
import os, signal, subprocess, sys, time
from dispel4py.processes.orphan_reaper import OrphanReaper

def start():
    return subprocess.Popen(["sleep", "3600"], start_new_session=True, stdout=subprocess.DEVNULL)

reaper = OrphanReaper(0.2)
known, former = start(), start()
reaper.add(-known.pid, -former.pid)
reaper.remove(-former.pid)
child = os.fork() if "fork" in sys.argv else 0
if "fork" in sys.argv and child == 0:
    os.close(1)
    time.sleep(3600)
print(known.pid, former.pid, child, reaper._pid, flush=True)
if "close" in sys.argv:
    reaper.close()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed():
    """Runs the program, and returns the numbers of the processes that it has started."""
    started = []

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            check=False,
            stdout=subprocess.PIPE,
            timeout=LIMIT,
        )
        assert done.returncode == -signal.SIGKILL
        started.extend(int(pid) for pid in done.stdout.split())
        return started

    yield run
    for pid in filter(None, started):
        process = find_process(pid)
        if process is not None:
            process.send(signal.SIGKILL)


def is_there(pid):
    process = find_process(pid)
    return process is not None and process.is_there()


def wait_for_end(pid):
    until = time.monotonic() + LIMIT
    while is_there(pid):
        assert time.monotonic() < until, "it goes on"
        time.sleep(0.01)


@pytest.mark.parametrize("how", [[], ["fork"]], ids=["", "beside a fork that goes on"])
def test_c4_what_goes_on_is_ended_but_nothing_that_had_ended_before(killed, how):
    known, former, child, shell = killed(*how)
    wait_for_end(shell)
    wait_for_end(known)
    assert is_there(former)
    assert is_there(child) == bool(how)


def test_c4_once_it_is_closed_nothing_is_ended(killed):
    known, former, _, shell = killed("close")
    assert not is_there(shell)
    assert is_there(known)
    assert is_there(former)
