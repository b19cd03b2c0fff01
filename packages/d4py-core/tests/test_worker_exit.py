"""A worker process ends as a program does."""

import multiprocessing
import subprocess
import sys
import textwrap

import pytest

from dispel4py.errors import RunError
from dispel4py.processes.workers.reports import ReportWriter

#: A program whose worker does something and ends; what it leaves are lines of a file.
PROGRAM = """
    import atexit, logging, logging.handlers, os, sys, tempfile, threading, weakref
    from concurrent.futures import ThreadPoolExecutor
    from dispel4py.processes.limits import ProcessLimits
    from dispel4py.processes.workers.pool import WorkerPool
    from dispel4py.processes.workers.start_methods import Start

    def note(*words):
        with open("notes", "a") as file:
            print(*words, file=file)

    class Thing:
        pass

    THING = Thing()

    def work(side):
        {work}

    if __name__ == "__main__":
        atexit.register(note, "handler of", "the parent")
        weakref.finalize(THING, note, "finalizer of the parent")
        logging.getLogger().addHandler(logging.handlers.MemoryHandler(100, target=Noting()))
        logging.warning("logged by the parent")
        never = float("inf")  # nothing is logged because the machine is slow
        limits = ProcessLimits(slow_start_seconds=never, slow_exit_seconds=never)
        pool = WorkerPool(work, [()], Start("{method}"), limits=limits)
        pool.wait_until_ended()
        note("seen off")
"""
NOTING = """
    class Noting(logging.Handler):
        def emit(self, record):
            note(record.getMessage())
"""
METHODS = ["fork", "forkserver", "spawn"]


@pytest.fixture(params=METHODS)
def notes(request, tmp_path):
    """Runs the program; the lines that it has left."""

    def notes(work, status=0):
        noting = textwrap.indent(textwrap.dedent(NOTING), "    ")
        text = PROGRAM.replace("    class Thing:", noting + "\n    class Thing:", 1)
        text = textwrap.dedent(text.replace("{work}", work).replace("{method}", request.param))
        (tmp_path / "program.py").write_text(text)
        ended = subprocess.run(
            [sys.executable, "program.py"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == status, ended.stderr
        path = tmp_path / "notes"
        return (path.read_text().splitlines() if path.exists() else []), ended.stderr

    return notes


def test_i10_what_a_worker_registers_runs_there_and_what_its_parent_has_runs_once(notes):
    lines, _ = notes("atexit.register(note, 'handler of the worker')")
    assert sorted(lines) == [
        "finalizer of the parent",
        "handler of the parent",
        "handler of the worker",
        "logged by the parent",
        "seen off",
    ]
    assert lines.index("handler of the worker") < lines.index("seen off")


@pytest.mark.parametrize(
    "work",
    [
        "weakref.finalize(THING, note, 'done')",
        "threading.Thread(target=note, args=('done',)).start()",
        "globals().update(pool=ThreadPoolExecutor(1)); pool.submit(note, 'done')",
        "h = logging.handlers.MemoryHandler(9, target=Noting()); globals().update(h=h);"
        " h.emit(logging.makeLogRecord({'msg': 'done', 'levelno': 20}))",
    ],
    ids=["finalizer", "thread", "pool", "log"],
)
def test_i10_what_a_worker_has_begun_is_done_before_it_is_seen_off(notes, work):
    lines, _ = notes(work)
    assert lines.index("done") < lines.index("seen off")
    assert lines.count("done") == 1


def test_i10_a_thread_that_raises_is_an_error(notes):
    lines, err = notes("threading.Thread(target=int, args=('x',), name='reader').start()", 1)
    assert "seen off" not in lines
    assert "the thread 'reader', which a PE has started, failed: ValueError: invalid" in err


def test_i10_a_thread_that_ends_its_worker_is_an_error(notes):
    _, err = notes("threading.Timer(0.05, os._exit, (3,)).start()", 1)
    assert "exit status 3, while its thread 'Thread-" in err


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_i10_a_worker_that_is_forked_by_a_thread_of_a_pool_ends_as_others_do(tmp_path):
    """It inherits the pool's list of threads, of which it is one itself."""
    program = """
        from concurrent.futures import ThreadPoolExecutor
        from dispel4py.processes.limits import ProcessLimits
        from dispel4py.processes.workers.pool import WorkerPool
        from dispel4py.processes.workers.start_methods import Start

        def work(side):
            with ThreadPoolExecutor(1) as pool:
                print(pool.submit(int, "7").result(), flush=True)

        def run():
            never = float("inf")
            limits = ProcessLimits(slow_start_seconds=never, slow_exit_seconds=never)
            pool = WorkerPool(work, [()], Start("fork"), limits=limits)
            pool.wait_until_ended()
            pool.stop()

        with ThreadPoolExecutor(1) as pool:
            pool.submit(run).result()
        """
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "7\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_i10_a_forked_worker_leaves_what_waits_in_files_of_its_parent_to_the_parent(tmp_path):
    """The parent has run a PE before that left its file open, and goes on writing to it."""
    program = """
        from dispel4py import IterativePE, WorkflowGraph, run
        from dispel4py.processes.workers.pool import WorkerPool
        from dispel4py.processes.workers.start_methods import Start

        class Opens(IterativePE):
            def _process(self, data):
                self.file = open("lines", "w")
                files.append(self.file)

        files = []
        graph = WorkflowGraph()
        opens = Opens()
        graph.add(opens)
        run(graph, "simple", {opens: [{"input": 1}]})
        files[0].write("once\\n")
        pool = WorkerPool(lambda side: None, [(), ()], Start("fork"))
        pool.wait_until_ended()
        pool.stop()
        files[0].close()
        """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=tmp_path, timeout=60, check=True
    )
    assert (tmp_path / "lines").read_text() == "once\n"


def test_a_worker_whose_parent_is_gone_reports_its_error_to_no_one():
    """It would end with a traceback about the broken pipe."""
    reading, writing = multiprocessing.Pipe(duplex=False)
    reading.close()
    ReportWriter(writing).failed(RunError("the run is over"))
    assert writing.closed


def test_c5_where_the_fork_server_was_killed_no_worker_can_replace_others(tmp_path):
    """Its workers end with it, and the folder of its socket is gone."""
    program = """
        import os, signal
        from multiprocessing import forkserver
        from dispel4py.processes.workers.pool import WorkerPool
        from dispel4py.processes.workers.start_methods import Start

        def work(side):
            pass

        if __name__ == "__main__":
            pool = WorkerPool(work, [()], Start("forkserver"))
            pool.wait_until_ended()
            os.unlink(forkserver._forkserver._forkserver_address)
            try:
                pool.add(())
            except Exception as error:
                print(type(error).__name__, error)
            pool.stop()
        """
    (tmp_path / "program.py").write_text(textwrap.dedent(program))
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("RunError cannot start worker 1: the fork server has ended")
