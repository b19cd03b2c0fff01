"""What PEs have started is found, whatever it has become, and ended."""

import logging
import os
import signal
import subprocess
import sys
import time

import pytest

from dispel4py.errors import WorkerLostError
from dispel4py.processes import children
from dispel4py.processes.children import started_by
from dispel4py.processes.pool import WorkerPool
from dispel4py.processes.start_methods import Start

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="reads /proc")

#: A worker that starts everything that can be started, and says what.
WORKER = """
import os, subprocess, sys, time
from dispel4py.processes.children import lead_session

lead_session()
found = [subprocess.Popen(["sleep", "60"]).pid]
found.append(subprocess.Popen(["sleep", "60"], start_new_session=True).pid)
reader, writer = os.pipe()
for is_daemon in (False, True):
    if os.fork() == 0:
        if is_daemon:
            os.setsid()
            if os.fork():
                os._exit(0)
        os.write(writer, b"%d\\n" % os.getpid())
        if is_daemon:
            os.execvp("sleep", ["sleep", "60"])
        time.sleep(60)
        os._exit(0)
    found.append(int(os.read(reader, 20)))
print(*found, flush=True)
time.sleep(60)
"""


def wait_until(condition, seconds=30.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def runs(pid):
    process = children.seen(pid)
    return process is not None and process.is_there()


@pytest.fixture
def worker():
    """A process that has started others; its ``found`` are their numbers."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    process.found = [*map(int, process.stdout.readline().split())]
    process.mark = children.seen(process.pid).mark
    # The last one is a program of its own from its exec on; until then nothing leads to it.
    wait_until(lambda: children.seen(process.found[-1]).command.startswith("sleep"))
    yield process
    for pid in (process.pid, *process.found):
        if children.seen(pid):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


def test_all_that_a_worker_has_started_is_found(worker):
    found = {process.pid for process in started_by([worker.pid], [worker.mark])}
    assert found == set(worker.found)


def test_so_it_is_when_the_worker_was_killed(worker):
    worker.kill()
    worker.wait()
    found = {process.pid for process in started_by([worker.pid], [worker.mark])}
    assert found == set(worker.found)


def test_what_others_have_started_is_not(worker):
    with subprocess.Popen(["sleep", "60"]) as other:
        assert other.pid not in {one.pid for one in started_by([worker.pid], [worker.mark])}
        other.kill()


def test_marks_are_added_to_those_that_were_inherited(worker):
    line = f"import os; print(os.environ['{children.MARK}'])"
    more = {children.MARK: "outer"}
    code = f"from dispel4py.processes.children import lead_session; lead_session(); {line}"
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


def test_what_ignores_sigterm_is_killed(worker):
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}; time.sleep(60)"], stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        children.end([children.seen(process.pid)], 0.2)
        assert process.wait(5) == -signal.SIGKILL


def test_another_process_of_the_same_number_gets_no_signal(worker, monkeypatch):
    seen, sent = children.seen(worker.pid), []
    monkeypatch.setattr(os, "kill", lambda *what: sent.append(what))
    seen._replace(started=seen.started - 1).send(signal.SIGKILL)
    assert sent == []
    seen.send(signal.SIGKILL)
    assert sent == [(worker.pid, signal.SIGKILL)]
    monkeypatch.undo()


#: A program with three workers, the last of which is stopped; each starts another program.
PARENT = """
import os, signal, subprocess, time
from dispel4py.processes.pool import WorkerPool

def work(side, path, is_last):
    subprocess.Popen(["sleep", "60"], start_new_session=True)
    with open(f"{path}.part", "w") as file:
        file.write(str(os.getpid()))
    os.rename(f"{path}.part", path)
    if is_last:
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)

pool = WorkerPool(work, [(str(number), number == 2) for number in range(3)])
time.sleep(60)
"""


def test_c4_workers_end_with_their_parent_though_one_of_them_was_stopped(tmp_path):
    with subprocess.Popen([sys.executable, "-c", PARENT], cwd=tmp_path) as parent:
        files = [tmp_path / str(number) for number in range(3)]
        wait_until(lambda: all(file.exists() for file in files))
        pids = [int(file.read_text()) for file in files]
        marks = [children.seen(pid).mark for pid in pids[:2]]
        parent.kill()
    try:
        wait_until(lambda: not any(map(runs, pids[:2])), 5.0)
        assert started_by([], marks) == []
    finally:
        children.kill_all(pids[2:], [children.seen(pids[2]).mark])
        os.kill(pids[2], signal.SIGKILL)


def _lost(side, path):
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    with open(path, "w") as file:
        file.write(str(process.pid))
    os.kill(os.getpid(), signal.SIGKILL)


def _leaves(side, command):
    subprocess.Popen(["sh", "-c", command])


def test_c5_what_a_lost_worker_has_started_is_gone_when_its_loss_is_reported(tmp_path):
    pool = WorkerPool(_lost, [(tmp_path / "pid",)], Start("fork"))
    try:
        with pytest.raises(WorkerLostError, match="SIGKILL"):
            pool.wait_until_ended()
        assert not runs(int((tmp_path / "pid").read_text()))
    finally:
        pool.stop()


def test_c4_what_a_pe_left_running_may_finish_after_a_good_run(tmp_path, caplog):
    pool = WorkerPool(_leaves, [(f"sleep 0.3; echo done >{tmp_path}/out",)], Start("fork"))
    pool.wait_until_ended()
    pool.stop()
    assert (tmp_path / "out").read_text() == "done\n"
    assert not caplog.records


def test_c4_what_does_not_is_ended_and_named(monkeypatch, caplog):
    monkeypatch.setattr(children, "LEFT_SECONDS", 0.1)
    pool = WorkerPool(_leaves, [("exec sleep 61",)], Start("fork"))
    with caplog.at_level(logging.WARNING, "dispel4py.run"):
        pool.wait_until_ended()
    pool.stop()
    (message,) = caplog.messages
    assert "(sleep 61); let its postprocess() wait for it, or end it" in message
    pid = int(message.split("process ")[1].split()[0])
    assert not runs(pid)


#: A program that ends what was started there, except for a child that it keeps; that has started
#: another program.
KEEPER = """
import subprocess
from dispel4py.processes.children import end_descendants, keep, mark_environment, ticks_now

began_at = ticks_now()
mark_environment()
kept = subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait; read line; echo $line"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
keep(kept.pid)
print(kept.stdout.readline(), end="")
end_descendants(began_at)
print(kept.communicate("well", timeout=30)[0], kept.returncode)
"""


def test_a_child_that_ends_in_good_order_is_left_alone_and_what_it_has_started_is_not():
    done = subprocess.run(
        [sys.executable, "-c", KEEPER], stdout=subprocess.PIPE, text=True, check=True, timeout=60
    )
    started, *rest = done.stdout.split()
    assert not runs(int(started))
    assert rest == ["well", "0"]
