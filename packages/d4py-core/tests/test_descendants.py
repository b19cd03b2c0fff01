"""The programs and processes that PEs have started are found and ended."""

import logging
import math
import os
import signal
import subprocess
import sys
import time

import pytest

from dispel4py.errors import WorkerLostError
from dispel4py.processes.descendants import descendants_of, end_processes, kill_descendants
from dispel4py.processes.limits import ProcessLimits
from dispel4py.processes.marks import MARK_VARIABLE
from dispel4py.processes.process_table import find_process
from dispel4py.processes.workers.pool import WorkerPool
from dispel4py.processes.workers.start_methods import Start

#: Seconds after which a test stops waiting for what never happens.
LIMIT = 60.0

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="reads /proc")

#: A worker that starts processes of every kind, and prints their pids.
WORKER = """
import os, subprocess, sys, time
from dispel4py.processes.marks import start_session

start_session()
found = [subprocess.Popen(["sleep", "3600"]).pid]
found.append(subprocess.Popen(["sleep", "3600"], start_new_session=True).pid)
reader, writer = os.pipe()
for is_daemon in (False, True):
    pid = os.fork()
    if pid == 0:
        if is_daemon:
            os.setsid()
            if os.fork():
                os._exit(0)
        os.write(writer, b"%d\\n" % os.getpid())
        if is_daemon:
            os.execvp("sleep", ["sleep", "3600"])
        time.sleep(3600)
        os._exit(0)
    found.append(int(os.read(reader, 20)))
    if is_daemon:
        os.waitpid(pid, 0)  # the one between
print(*found, flush=True)
time.sleep(3600)
"""


def wait_until(condition):
    until = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def runs(pid):
    process = find_process(pid)
    return process is not None and process.is_there()


@pytest.fixture
def worker():
    """A process that has started others; its ``found`` are their pids."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    process.found = [*map(int, process.stdout.readline().split())]
    process.mark = find_process(process.pid).mark
    # The last one has the mark in its own environment only from its exec on.
    wait_until(lambda: find_process(process.found[-1]).command.startswith("sleep"))
    yield process
    for pid in (process.pid, *process.found):
        if find_process(pid):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


def test_all_descendants_of_a_worker_are_found(worker):
    found = {process.pid for process in descendants_of([worker.pid], [worker.mark])}
    assert found == set(worker.found)


def test_descendants_are_found_after_the_worker_was_killed(worker):
    worker.kill()
    worker.wait()
    found = {process.pid for process in descendants_of([worker.pid], [worker.mark])}
    assert found == set(worker.found)


def test_processes_that_others_have_started_are_not_found(worker):
    with subprocess.Popen(["sleep", "3600"]) as other:
        assert other.pid not in {one.pid for one in descendants_of([worker.pid], [worker.mark])}
        other.kill()


def test_a_mark_is_added_to_inherited_ones(worker):
    line = f"import os; print(os.environ['{MARK_VARIABLE}'])"
    more = {MARK_VARIABLE: "outer"}
    code = f"from dispel4py.processes.marks import start_session; start_session(); {line}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | more,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    outer, inner = done.stdout.split()
    assert outer == "outer"
    assert "@" in inner


def test_a_process_that_ignores_sigterm_is_killed(worker):
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}; time.sleep(3600)"], stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        end_processes([find_process(process.pid)], ProcessLimits(grace_seconds=0.2))
        assert process.wait(LIMIT) == -signal.SIGKILL


def test_another_process_with_the_same_pid_gets_no_signal(worker, monkeypatch):
    seen, sent = find_process(worker.pid), []
    monkeypatch.setattr(os, "kill", lambda *what: sent.append(what))
    seen._replace(started=seen.started - 1).send(signal.SIGKILL)
    assert sent == []
    seen.send(signal.SIGKILL)
    assert sent == [(worker.pid, signal.SIGKILL)]
    monkeypatch.undo()


#: A program with three workers, the last of which is stopped; each starts another program.
PARENT = """
import os, signal, subprocess, time
from dispel4py.processes.workers.pool import WorkerPool

def work(side, path, is_last):
    subprocess.Popen(["sleep", "3600"], start_new_session=True)
    with open(f"{path}.part", "w") as file:
        file.write(str(os.getpid()))
    os.rename(f"{path}.part", path)
    if is_last:
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(3600)

pool = WorkerPool(work, [(str(number), number == 2) for number in range(3)])
time.sleep(3600)
"""


def test_c4_workers_end_with_their_parent_though_one_of_them_was_stopped(tmp_path):
    with subprocess.Popen([sys.executable, "-c", PARENT], cwd=tmp_path) as parent:
        files = [tmp_path / str(number) for number in range(3)]
        wait_until(lambda: all(file.exists() for file in files))
        pids = [int(file.read_text()) for file in files]
        marks = [find_process(pid).mark for pid in pids[:2]]
        parent.kill()
    try:
        wait_until(lambda: not any(map(runs, pids[:2])))
        assert descendants_of([], marks) == []
    finally:
        kill_descendants(pids[2:], [find_process(pids[2]).mark])
        os.kill(pids[2], signal.SIGKILL)


#: Limits of a pool that logs nothing because the machine is slow.
QUIET = ProcessLimits(slow_start_seconds=math.inf, slow_exit_seconds=math.inf)


def _lost(side, path):
    process = subprocess.Popen(["sleep", "3600"], start_new_session=True)
    with open(path, "w") as file:
        file.write(str(process.pid))
    os.kill(os.getpid(), signal.SIGKILL)


def _leaves(side, command):
    subprocess.Popen(["sh", "-c", command])


def test_c5_descendants_of_a_lost_worker_are_gone_when_its_loss_is_reported(tmp_path):
    pool = WorkerPool(_lost, [(tmp_path / "pid",)], Start("fork"))
    try:
        with pytest.raises(WorkerLostError, match="SIGKILL"):
            pool.wait_until_ended()
        assert not runs(int((tmp_path / "pid").read_text()))
    finally:
        pool.stop()


def test_c5_so_are_those_of_a_worker_that_is_lost_while_others_are_started(tmp_path, monkeypatch):
    """The start of the second one collects the exit status of the first, and its pid is free."""
    start = WorkerPool._start_process

    def start_late(pool, name, arguments):
        wait_until(lambda: not any(map(runs, pool.pids)))
        return start(pool, name, arguments)

    monkeypatch.setattr(WorkerPool, "_start_process", start_late)
    paths = [tmp_path / "first", tmp_path / "second"]
    pool = WorkerPool(_lost, [(path,) for path in paths], Start("fork"))
    try:
        wait_until(lambda: not any(map(runs, pool.pids)))
    finally:
        pool.stop()
    assert not any(runs(int(path.read_text())) for path in paths)


def test_c4_a_program_that_a_pe_left_running_may_finish_after_a_good_run(tmp_path, caplog):
    limits = QUIET._replace(descendant_seconds=math.inf)
    command = f"sleep 0.3; echo done >{tmp_path}/out"
    pool = WorkerPool(_leaves, [(command,)], Start("fork"), limits=limits)
    pool.wait_until_ended()
    pool.stop()
    assert (tmp_path / "out").read_text() == "done\n"
    assert not caplog.records


def test_c4_a_program_left_running_too_long_is_ended_and_logged(caplog):
    limits = QUIET._replace(descendant_seconds=0.1)
    pool = WorkerPool(_leaves, [("exec sleep 61",)], Start("fork"), limits=limits)
    with caplog.at_level(logging.WARNING, "dispel4py.run"):
        pool.wait_until_ended()
    pool.stop()
    (message,) = caplog.messages
    assert "(sleep 61); let its postprocess() wait for it, or end it" in message
    pid = int(message.split("process ")[1].split()[0])
    assert not runs(pid)


#: A program that ends its descendants, except for an exempt child, which has started another one.
EXEMPTING = """
import subprocess
from dispel4py.processes.descendants import end_own_descendants, exempt_child
from dispel4py.processes.marks import mark_environment
from dispel4py.processes.process_table import boot_ticks

began_at = boot_ticks()
mark_environment()
child = subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait; read line; echo $line"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
exempt_child(child.pid)
print(child.stdout.readline(), end="")
end_own_descendants(began_at)
print(child.communicate("well", timeout=30)[0], child.returncode)
"""


def test_an_exempt_child_is_not_ended_but_what_it_has_started_is():
    done = subprocess.run(
        [sys.executable, "-c", EXEMPTING], stdout=subprocess.PIPE, text=True, check=True, timeout=60
    )
    started, *rest = done.stdout.split()
    assert not runs(int(started))
    assert rest == ["well", "0"]
