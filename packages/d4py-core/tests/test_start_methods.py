"""The choice of the start method, and errors of workers that do not begin."""

import errno
import multiprocessing.forkserver
import os
import subprocess
import sys
import textwrap

import pytest

from dispel4py import ProducerPE, WorkflowGraph, registry, run
from dispel4py.errors import OptionError, RunError, UnknownMappingError
from dispel4py.processes.limits import ProcessLimits
from dispel4py.processes.workers import pool as processes
from dispel4py.processes.workers.pool import WorkerPool
from dispel4py.processes.workers.start_methods import Start, fork_server_status
from dispel4py.processes.workers.start_watch import StartWatch

linux = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux")

#: A thread that Python does not know, and its end.
NATIVE = """
    import ctypes, threading
    library = ctypes.CDLL(None)
    semaphore = ctypes.create_string_buffer(64)
    library.sem_init(semaphore, 0, 0)
    thread = ctypes.c_ulong()

    def begin():
        before = threading.active_count()
        wait = ctypes.cast(library.sem_wait, ctypes.c_void_p)
        assert library.pthread_create(ctypes.byref(thread), None, wait, semaphore) == 0
        assert threading.active_count() <= before

    def end():
        library.sem_post(semaphore)
        library.pthread_join(thread, None)
"""


@pytest.fixture
def program(tmp_path):
    """Runs a script, with warnings as errors; gives its status, output and error output."""

    def run(*parts, **environment):
        script = tmp_path / "script.py"
        script.write_text("".join(map(textwrap.dedent, parts)), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "error", script],
            cwd=tmp_path,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


@linux
def test_a_program_with_native_threads_is_not_forked(program):
    choosing = """
        from dispel4py.processes.workers.start_methods import safe_start_method
        methods = [safe_start_method()]
        begin()
        methods.append(safe_start_method())
        end()
        print(*methods, safe_start_method())
    """
    assert program(NATIVE, choosing) == (0, "fork spawn fork\n", "")


@linux
def test_a_thread_that_was_declared_harmless_is_no_hindrance(program):
    choosing = """
        import faulthandler
        from dispel4py.processes.native_threads import fork_safe_threads
        from dispel4py.processes.workers.start_methods import safe_start_method
        with fork_safe_threads():
            faulthandler.dump_traceback_later(100)
        methods = [safe_start_method()]
        begin()
        print(*methods, safe_start_method())
        end()
    """
    assert program(NATIVE, choosing) == (0, "fork spawn\n", "")


@linux
def test_nor_is_one_with_python_threads_of_any_origin(program):
    choosing = """
        import _thread, time
        from dispel4py.processes.workers.start_methods import safe_start_method
        _thread.start_new_thread(lambda: time.sleep(100), ())
        print(safe_start_method())
    """
    assert program(choosing) == (0, "forkserver\n", "")


@linux
def test_threads_that_end_before_a_fork_are_no_hindrance(program):
    pytest.importorskip("numpy")
    choosing = """
        import os
        import numpy
        from dispel4py.processes.workers.start_methods import safe_start_method
        numpy.ones((300, 300)) @ numpy.ones((300, 300))
        assert len(os.listdir("/proc/self/task")) > 1, "this shows nothing"
        print(safe_start_method())
    """
    assert program(choosing, OPENBLAS_NUM_THREADS="3") == (0, "fork\n", "")


@linux
def test_nor_are_those_of_zeromq(program):
    pytest.importorskip("zmq")
    choosing = """
        import zmq
        from dispel4py.processes.workers.start_methods import safe_start_method
        with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
            print(safe_start_method())
    """
    assert program(choosing) == (0, "fork\n", "")


@linux
def test_nor_are_those_of_the_allocator_of_arrow(program):
    pytest.importorskip("pyarrow")
    choosing = """
        import os
        import pyarrow
        from dispel4py.processes.workers.start_methods import safe_start_method
        numbers = pyarrow.array(range(100_000))
        print(safe_start_method(), flush=True)
        if os.fork() == 0:
            import pyarrow.compute
            print(pyarrow.compute.sum(pyarrow.concat_arrays([numbers, numbers])), flush=True)
            os._exit(0)
        assert os.wait()[1] == 0
    """
    assert program(choosing) == (0, "fork\n9999900000\n", "")


@linux
def test_a_prompt_with_native_threads_is_not_forked_either():
    choosing = (
        "begin()\n"
        "from dispel4py.processes.workers.start_methods import safe_start_method as s\n"
        "print(s()); end()"
    )
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(NATIVE) + choosing],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert done.stdout == "spawn\n"


#: A script without a guard, so that its workers have to be forked.
REPLACING = """
    import os, signal, threading, time
    from dispel4py.processes.limits import ProcessLimits
    from dispel4py.processes.workers.pool import WorkerPool
    from dispel4py.processes.workers.start_methods import Start

    class Common:
        def __reduce__(self):
            raise AssertionError("it is copied")

    def work(side, number, common):
        print("worker", number, common is COMMON, flush=True)
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 4:
            os._exit(7)
        if number == 5:
            raise ValueError("five")
        while number == 6:
            time.sleep(1)

    def until_lost(number):
        while True:
            for failure in pool.check():
                return str(failure).replace(str(pool.pids[-1]), "PID").strip()
            time.sleep(0.01)

    COMMON = Common()
    quiet = ProcessLimits(slow_start_seconds=float("inf"))  # however slow the machine is
    pool = WorkerPool(work, [(1, COMMON)], Start.of({}), common=COMMON, limits=quiet)
    threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
"""


@linux
def test_c5_workers_that_come_later_are_forked_though_there_are_threads_by_then(program):
    adding = """
        pool.add((2, COMMON))
        assert pool.join(60)
        assert pool.check() == []
        for number in (3, 4):
            pool.add((number, COMMON))
            print(until_lost(number))
        pool.add((5, COMMON))
        assert "ValueError: five" in until_lost(5)
        pool.add((6, COMMON))
        pool.stop()
        print(pool.join(0))
    """
    status, out, err = program(REPLACING, adding)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert [line for line in lines if line.startswith("worker 6")] in ([], ["worker 6 True"])
    assert sorted(lines[:2]) == ["worker 1 True", "worker 2 True"]  # they run side by side
    assert [line for line in lines[2:] if not line.startswith("worker 6")] == [
        "worker 3 True",
        "worker 2 (process PID) died: killed by SIGKILL",
        "worker 4 True",
        "worker 3 (process PID) died: exit status 7",
        "worker 5 True",
        "True",
    ]


@linux
def test_c4_nothing_of_a_program_stays_that_was_killed_after_it_had_replaced_a_worker(program):
    killing = """
        pool.add((6, COMMON))
        while not pool._processes[-1].is_alive():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    # Waits until its output has no other writer, which is when all processes have ended.
    status, out, err = program(REPLACING, killing)
    assert (status, err) == (-9, "")
    assert {*out.splitlines()} <= {"worker 1 True", "worker 6 True"}  # each if it got so far


@linux
def test_a_killed_zygote_is_an_error(program):
    killing = """
        from dispel4py.errors import D4pyError

        os.kill(pool._zygote._pid, signal.SIGKILL)
        try:
            pool.add((2, COMMON))
        except D4pyError as error:
            print(error)
        pool.stop()
    """
    status, out, err = program(REPLACING, killing)
    assert (status, err) == (0, "")
    assert "cannot start another worker: the process that forks workers (process " in out


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_start_in_a_process_that_multiprocessing_calls_daemonic(program, method):
    script = f"""
        import multiprocessing
        from dispel4py.processes.limits import ProcessLimits
        from dispel4py.processes.workers.pool import WorkerPool
        from dispel4py.processes.workers.start_methods import Start

        def work(side):
            print(multiprocessing.current_process().daemon, flush=True)

        def run():
            never = float("inf")
            limits = ProcessLimits(slow_start_seconds=never, slow_exit_seconds=never)
            pool = WorkerPool(work, [()], Start("{method}"), limits=limits)
            pool.wait_until_ended()
            pool.stop()
            return multiprocessing.current_process().daemon

        if __name__ == "__main__":
            multiprocessing.get_context("forkserver").Process(target=len, args=("",)).start()
            with multiprocessing.get_context("fork").Pool(1) as pool:
                print(pool.apply(run))
    """
    assert program(script) == (0, "False\nTrue\n", "")


def test_a_worker_that_takes_long_to_begin_is_logged_once(caplog):
    watch = StartWatch(Start("spawn", 1e6), ProcessLimits(slow_start_seconds=0.0))
    watch.add(3)
    assert watch.check(3, 77) is None
    assert watch.check(3, 77) is None
    (message,) = caplog.messages
    assert message.startswith("worker 3 (process 77), started by spawn, has not begun after 0 s; ")


def test_a_worker_that_does_not_begin_is_killed(program):
    script = """
        import time
        from dispel4py.errors import WorkerStartError
        from dispel4py.processes.workers.pool import WorkerPool
        from dispel4py.processes.workers.start_methods import Start

        if __name__ != "__main__":
            time.sleep(100)
        else:
            pool = WorkerPool(len, [("",)], Start("spawn", 0.5))
            try:
                pool.wait_until_ended()
            except WorkerStartError as error:
                print(str(error).replace(str(error.pid), "PID"))
            pool.stop()
    """
    status, out, err = program(script)
    assert status == 0, err
    advice = (
        "it imports the main script first: move what takes long there below"
        " if __name__ == '__main__':"
    )
    assert out == (
        "worker 0 (process PID) did not begin: it was started by spawn and has not begun within"
        f" 0.5 s; {advice}, or allow more time with --start-timeout\n"
    )


@pytest.mark.parametrize("options", [{"start_timeout": 0}, {"start_timeout": float("nan")}])
def test_an_invalid_timeout_is_a_usage_error(options):
    with pytest.raises(OptionError, match=r"--start-timeout is .*; it must be more than 0 seconds"):
        Start.of(options)


def test_on_a_platform_without_processes_the_error_names_the_mapping_simple(monkeypatch):
    monkeypatch.setattr(sys, "platform", "emscripten")
    with pytest.raises(OptionError, match="cannot start processes; use the mapping 'simple'"):
        Start.of({})


def test_there_a_mapping_that_is_not_installed_is_not_offered(monkeypatch):
    monkeypatch.setattr(sys, "platform", "emscripten")
    monkeypatch.setattr(registry, "_loader", lambda name, group: None)
    with pytest.raises(UnknownMappingError, match=r"'mpi' needs processes, .* 'simple'$"):
        registry.load_mapping("mpi")
    with pytest.raises(UnknownMappingError, match="no mapping 'other' is installed"):
        registry.load_mapping("other")


def test_without_threads_observers_are_refused(monkeypatch):
    monkeypatch.setattr(sys, "platform", "emscripten")
    graph = WorkflowGraph()
    graph.add(ProducerPE())
    with pytest.raises(OptionError, match="need threads, which Python on emscripten lacks"):
        run(graph, inputs=1, record=True)


def test_without_the_multiprocessing_module_the_error_names_the_mapping_simple(program):
    asking = """
        import sys
        sys.modules["_multiprocessing"] = None
        from dispel4py.errors import UnknownMappingError
        from dispel4py.registry import available, load_mapping
        for name in {*available()} & {"multi", "dyn_multi"}:
            try:
                load_mapping(name)
            except UnknownMappingError as error:
                assert "needs processes" in str(error), error
                assert str(error).endswith("use the mapping 'simple'"), error
        print(load_mapping("simple").name)
    """
    assert program(asking) == (0, "simple\n", "")


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (
            errno.ENOSYS,
            OptionError,
            "cannot start processes on this system .* 'simple'",
        ),
        (errno.EAGAIN, RunError, "cannot start worker 0: .* use fewer processes"),
    ],
)
def test_a_failed_start_is_reported_with_advice(monkeypatch, number, kind, message):
    def refuse(self, name, arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(processes.WorkerPool, "_start_process", refuse)
    with pytest.raises(kind, match=message):
        WorkerPool(len, [("",)], Start("spawn"))


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="this system has no waitid")
def test_the_status_of_a_fork_server_is_known_where_the_system_tells_it(monkeypatch):
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(96)"])
    monkeypatch.setattr(multiprocessing.forkserver._forkserver, "_forkserver_pid", child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert fork_server_status() == 96
    assert child.wait() == 96  # it was left to be waited for
    assert fork_server_status() is None
    monkeypatch.delattr(os, "waitid")
    assert fork_server_status() is None
