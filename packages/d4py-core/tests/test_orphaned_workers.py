"""Workers whose parent is gone: they clean up, unless the parent is there and does so itself."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap

import pytest

from dispel4py.processes.process_table import find_process

needs_proc = pytest.mark.skipif(
    find_process(os.getpid()) is None, reason="whether a process has ended is read from /proc"
)

WORKER = """
    import os, signal, sys, time
    from multiprocessing import current_process
    from pathlib import Path
    from dispel4py.processes.limits import ProcessLimits
    from dispel4py.processes.workers.pool import WorkerPool
    from dispel4py.processes.process_table import find_process, wait_for_exit
    from dispel4py.processes.workers.start_methods import Start

    def work(context, folder):
        context.on_orphaned(Path(folder, "cleaned").touch)
        Path(folder, "begun").touch()
        while True:
            time.sleep(1)

    def start(folder):
        limits = ProcessLimits(
            slow_start_seconds=float("inf"), orphan_poll_seconds=60, parent_end_seconds=SECONDS
        )
        pool = WorkerPool(work, [(folder,)], Start("forkserver"), limits=limits)
        while not Path(folder, "begun").exists():
            time.sleep(0.01)
        return pool
"""
#: As a process object is dropped that was interrupted while it was starting.
GIVING_UP = """
    if __name__ == "__main__":
        folder = sys.argv[1]
        pool = start(folder)
        (pid,), sockets = pool.pids, current_process()._config["tempdir"]
        worker = find_process(pid)
        pool._processes[0]._popen.finalizer()
        assert wait_for_exit([worker], 60) == []
        print(os.path.isdir(sockets), os.path.exists(folder + "/cleaned"))
        second = start(folder)  # the fork server still answers
        second.stop()
"""
KILLED = """
    if __name__ == "__main__":
        start(sys.argv[1])
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def folder():
    """A folder with a name that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="d4py-") as path:
        yield path


def run_script(folder, *parts, seconds):
    """Run a script; it returns once no process has its output open."""
    script = os.path.join(folder, "script.py")
    with open(script, "w", encoding="utf-8") as file:
        file.write("".join(map(textwrap.dedent, parts)).replace("SECONDS", str(seconds)))
    temporary = os.path.join(folder, "tmp")
    os.mkdir(temporary)
    done = subprocess.run(
        [sys.executable, script, folder],
        env={**os.environ, "TMPDIR": temporary},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr, os.listdir(temporary)


@needs_proc
def test_c4_a_worker_that_its_parent_has_given_up_removes_nothing_of_the_parents(folder):
    status, out, err, left = run_script(folder, WORKER, GIVING_UP, seconds=0.01)
    assert (status, err) == (0, "")
    assert out == "True False\n"
    assert left == []


def test_c4_a_worker_whose_parent_was_killed_removes_the_folder_of_the_fork_server(folder):
    status, out, err, left = run_script(folder, WORKER, KILLED, seconds=60)
    assert (status, out, err) == (-signal.SIGKILL, "", "")
    assert os.path.exists(os.path.join(folder, "cleaned"))
    assert left == []
