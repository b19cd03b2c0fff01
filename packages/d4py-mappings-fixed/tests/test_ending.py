"""Rule I10: threads that PEs have started finish before a run ends, or the run reports it."""

import os
import signal

import pytest

from d4py_conformance.waiting import wait_until_none

#: A thread in each instance goes on until the file ``go`` is there, and then leaves a file.
WORKFLOW = """
    import atexit, os, threading, time
    from concurrent.futures import ThreadPoolExecutor
    from dispel4py import ConsumerPE, ProducerPE, WorkflowGraph

    class Numbers(ProducerPE):
        number = 0
        def _process(self, inputs):
            self.number += 1
            return self.number

    class Uploads(ConsumerPE):
        def _process(self, data):
            way = os.environ.get("WAY", "thread")
            if way == "thread":
                threading.Thread(target=self.work, name="upload", args=(data,)).start()
            elif way == "daemon":
                threading.Thread(target=self.work, daemon=True, args=(data,)).start()
            elif way == "pool":
                POOL.submit(self.work, data)
            elif way == "atexit":
                atexit.register(self.leave, data)

        def work(self, data):
            with open("working", "w") as file:
                file.write(str(os.getpid()))
            until = time.monotonic() + 3600
            while not os.path.exists("go") and time.monotonic() < until:
                time.sleep(0.01)
            if os.environ.get("FAILS"):
                raise ValueError("the line is down")
            if os.environ.get("WRITES"):
                self.write("output", data)
            self.leave(data)

        def leave(self, data):
            with open(f"done {data}", "w") as file:
                file.write(str(os.getpid()))

    POOL = ThreadPoolExecutor(1)
    graph = WorkflowGraph()
    graph.connect(Numbers(), "output", Uploads(), "input")
"""
UNCLOSED = """
    import atexit, logging, logging.handlers, os, tempfile
    from dispel4py import ConsumerPE, ProducerPE, WorkflowGraph

    class Numbers(ProducerPE):
        number = 0
        def _process(self, inputs):
            self.number += 1
            return self.number

    class Holds(ConsumerPE):
        def _preprocess(self):
            self.file = open("lines", "w")
            handler = logging.handlers.MemoryHandler(10**6, target=logging.FileHandler("logged"))
            logging.getLogger("holds").addHandler(handler)
            self.me = self
        def _process(self, data):
            self.file.write(f"line {data}\\n")
            logging.getLogger("holds").warning("line %d", data)

    @atexit.register
    def ended():
        with open("ended", "a") as file:
            file.write(f"{os.getpid()}\\n")

    graph = WorkflowGraph()
    graph.connect(Numbers(), "output", Holds(), "input")
"""
LINES = "".join(f"line {n}\n" for n in range(1, 201))
METHODS = ["fork", "forkserver", "spawn"]


@pytest.fixture(params=[*METHODS, "zmq_multi", "mpi"])
def begin(request, write, command, tmp_path):
    """Starts a workflow with one of the start methods or mappings."""
    if request.param == "mpi":
        mpi = request.getfixturevalue("mpi")
        arguments = []
    elif request.param == "zmq_multi":
        pytest.importorskip("zmq")
        arguments = ["zmq_multi"]
    else:
        arguments = ["multi", "--start-method", request.param]

    def begin(text, *more, count=1, **environment):
        write("ending.py", text)
        more = (*arguments, "ending.py", "-n", 2, "-i", count, *more)
        if request.param == "mpi":
            return Mpi(mpi, mpi.start(*more, **environment))
        return command(*more, **environment)

    return begin


class Mpi:
    """A command that runs MPI ranks, with the interface of other programs."""

    def __init__(self, mpi, process):
        self.process, self._mpi = process, mpi

    def end(self):
        return self._mpi.end(self.process)

    def wait_until_gone(self):
        wait_until_none(self._mpi.alive, "the end of all processes")


@pytest.fixture
def working(wait_until, tmp_path):
    """Waits until a thread is running; returns the number of its process."""

    def working():
        path = tmp_path / "working"
        wait_until(lambda: path.exists() and path.read_text(), "a running thread")
        return int(path.read_text())

    return working


def wait_for_line(program, text):
    """Read error output until a line contains a text."""
    lines = []
    for line in program.process.stderr:
        lines.append(line)
        if text in line:
            return line
    raise AssertionError(f"no line contains {text!r}: {''.join(lines)}")


def test_i10_a_run_waits_for_threads_and_names_them(begin, working, tmp_path):
    program = begin(WORKFLOW)
    working()
    line = wait_for_line(program, "waiting for")
    assert "worker 1, which ran Uploads1 (instance 0): its thread 'upload' still runs" in line
    assert program.process.poll() is None
    (tmp_path / "go").touch()
    assert program.end()[0] == 0
    assert (tmp_path / "done 1").exists()


def test_i10_a_run_waits_for_pools_of_threads(begin, working, tmp_path):
    program = begin(WORKFLOW, count=3, WAY="pool")
    working()
    (tmp_path / "go").touch()
    assert program.end()[0] == 0
    assert sorted(path.name for path in tmp_path.glob("done *")) == ["done 1", "done 2", "done 3"]


def test_i10_a_run_does_not_wait_for_daemon_threads(begin, tmp_path):
    program = begin(WORKFLOW, WAY="daemon")
    assert program.end()[0] == 0
    assert not (tmp_path / "done 1").exists()


def test_i10_exit_handlers_that_were_registered_in_a_worker_run_there(begin, tmp_path):
    program = begin(WORKFLOW, WAY="atexit")
    assert program.end()[0] == 0
    assert int((tmp_path / "done 1").read_text()) != program.process.pid


def test_i10_files_and_logs_that_were_not_closed_are_complete(begin, tmp_path):
    program = begin(UNCLOSED, count=200)
    assert program.end()[0] == 0
    assert (tmp_path / "lines").read_text() == LINES
    assert (tmp_path / "logged").read_text() == LINES
    # The handler of the workflow's module runs once in each process that has imported it.
    ended = (tmp_path / "ended").read_text().split()
    assert len(ended) == len(set(ended))
    assert str(program.process.pid) in ended


@pytest.mark.parametrize("when", ["early", "late"])
def test_i10_a_thread_that_raises_fails_the_run(begin, working, tmp_path, when):
    if when == "early":
        (tmp_path / "go").touch()
    program = begin(WORKFLOW, FAILS="1")
    working()
    (tmp_path / "go").touch()
    status, _, err = program.end()
    assert status == 1
    assert (
        "the thread 'upload', which a PE has started, failed: ValueError: the line is down"
        in (err.splitlines()[-1])
    )


def test_i10_a_thread_that_writes_when_its_pe_is_done_fails_the_run(begin, working, tmp_path):
    program = begin(WORKFLOW, WRITES="1")
    working()
    wait_for_line(program, "waiting for")
    (tmp_path / "go").touch()
    status, _, err = program.end()
    assert status == 1
    assert "dispel4py: error: the thread 'upload', which a PE has started, failed:" in err
    assert "Uploads1 wrote to output 'output' after its postprocess()" in err


def test_i10_a_worker_that_is_killed_while_a_thread_runs_fails_the_run(begin, working):
    program = begin(WORKFLOW)
    pid = working()
    wait_for_line(program, "waiting for")
    os.kill(pid, signal.SIGKILL)
    status, _, err = program.end()
    assert status == 1
    assert "worker 1" in err
    assert "killed by SIGKILL, while its thread 'upload' still ran" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_i10_c4_a_signal_ends_the_wait(begin, working, number):
    program = begin(WORKFLOW)
    working()
    wait_for_line(program, "waiting for")
    program.process.send_signal(number)
    assert program.end()[0] == 130
    program.wait_until_gone()


def test_i10_c4_the_end_of_the_driver_ends_the_wait(begin, working):
    program = begin(WORKFLOW)
    working()
    wait_for_line(program, "waiting for")
    os.kill(program.process.pid, signal.SIGKILL)
    program.process.wait()
    program.wait_until_gone()


LOGS = """
    import threading
    from multiprocessing import get_context
    from dispel4py import ConsumerPE, ProducerPE, WorkflowGraph

    class Numbers(ProducerPE):
        number = 0
        def _process(self, inputs):
            self.number += 1
            return self.number

    class Logs(ConsumerPE):
        def _process(self, data):
            work = [threading.Thread(target=self.log, args=(f"thread {data}.",)) for _ in range(4)]
            work.append(get_context("fork").Process(target=self.log, args=(f"child {data}.",)))
            for each in work:
                each.start()
            self.log(f"itself {data}.")
            for each in work:
                each.join()

    graph = WorkflowGraph()
    graph.connect(Numbers(), "output", Logs(), "input")
"""


def test_i4_lines_that_threads_and_processes_of_a_pe_log_are_shown(begin):
    status, _, err = begin(LOGS, count=10).end()
    assert status == 0, err
    for number in range(1, 11):
        assert err.count(f"Logs1 (rank 1): thread {number}.") == 4
        assert err.count(f"Logs1 (rank 1): child {number}.") == 1
        assert err.count(f"Logs1 (rank 1): itself {number}.") == 1
