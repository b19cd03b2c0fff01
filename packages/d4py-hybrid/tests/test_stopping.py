"""C4: a run that is stopped from outside leaves no process, file or key."""

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from d4py_conformance.waiting import wait_until_none

#: An endless run with results and a stateful PE, of which each instance makes a file.
WORKFLOW = """
    import flows
    from dispel4py import WorkflowGraph, run

    graph = WorkflowGraph()
    numbers, slow, signs = flows.Numbers(), flows.Slow(0.001), flows.Signs("ready")
    graph.connect(numbers, "output", slow, "input")
    graph.connect(slow, "output", signs, "input")
"""
SCRIPT = (
    WORKFLOW
    + """
    if __name__ == "__main__":
        import sys
        from d4py_dynamic.store.redis.connections import server as redis_server
        redis_server.DEFAULT_PORT = 1
        options = dict(option.split("=", 1) for option in sys.argv[1:])
        run(graph, "hybrid_redis", 10**9, 3, on_result=lambda *result: None, **options)
"""
)


@pytest.fixture
def running(write, command, start, wait_until, tmp_path):
    """Starts an endless run as a command or a script, and waits until it is at work."""

    def begin(way, **options):
        if way == "command":
            write("endless.py", WORKFLOW)
            flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
            flags += ["-i", 10**9, "-n", 3, "--output", os.devnull]
            program = command("hybrid_redis", "endless.py", *flags)
        else:
            write("endless.py", SCRIPT)
            program = start("endless.py", *(f"{name}={value}" for name, value in options.items()))

        def has_begun():
            assert program.process.poll() is None, program.end()
            return (tmp_path / "ready").exists()

        wait_until(has_begun, "the first item")
        assert len(program.members()) >= 4
        return program

    return begin


WAYS = ["command", "script"]


class TestPrivateServer:
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_c4_a_signal_stops_everything(self, running, temporary, way, number):
        program = running(way)
        assert list(temporary.iterdir()) != []
        program.process.send_signal(number)
        program.process.wait_until_gone()
        status, _, err = program.end()
        assert list(temporary.iterdir()) == []
        if way == "command":
            assert status == 130
            assert err.splitlines()[-1] == "dispel4py: interrupted"
            assert "Traceback" not in err
        elif number == signal.SIGINT:
            assert err.splitlines()[-1] == "KeyboardInterrupt"
        else:
            assert status == -signal.SIGTERM

    @pytest.mark.parametrize("way", WAYS)
    def test_c4_ctrl_c_reaches_all_processes_and_only_the_driver_reports_it(
        self, running, temporary, way
    ):
        program = running(way)
        os.killpg(program.process.pid, signal.SIGINT)
        program.process.wait_until_gone()
        _, _, err = program.end()
        assert list(temporary.iterdir()) == []
        last = {"command": "dispel4py: interrupted", "script": "KeyboardInterrupt"}[way]
        assert err.splitlines()[-1] == last
        assert "d4py-worker" not in err
        assert "Traceback" not in err or way == "script"

    @pytest.mark.parametrize("start_method", ["fork", "forkserver", "spawn"])
    def test_c4_workers_and_files_are_removed_after_the_driver_was_killed(
        self, running, temporary, start_method
    ):
        program = running("script", start_method=start_method)
        program.process.kill()
        program.process.wait_until_gone()
        wait_until_none(temporary.iterdir, "the folder's removal")

    @pytest.mark.parametrize("delay", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    def test_c4_ctrl_c_while_a_run_starts_leaves_nothing(self, write, command, temporary, delay):
        write("endless.py", WORKFLOW)
        program = command("hybrid_redis", "endless.py", "-i", 10**9, "-n", 10, "-q")
        time.sleep(delay)  # any progress will do
        os.killpg(program.process.pid, signal.SIGINT)
        program.process.wait_until_gone()
        _, _, err = program.end()
        assert list(temporary.iterdir()) == []
        # Python's own start may be interrupted too, which prints one traceback of its own.
        assert len(re.findall(r"(?<!another exception occurred:\n\n)Traceback", err)) <= 1
        assert "d4py-worker" not in err


class TestAnotherServer:
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_c4_no_key_is_left(self, running, server, way, number):
        program = running(way, redis_url=server.url)
        assert server.keys() != []
        program.process.send_signal(number)
        program.process.wait_until_gone()
        assert server.keys() == []

    def test_c4_one_worker_is_enough_to_delete_the_keys(self, running, server):
        # The others are frozen.
        program = running("script", redis_url=server.url)
        shell = "sh"  # of the pool of workers
        found = [pid for pid in program.members() if psutil.Process(pid).name() != shell]
        workers = [pid for pid in found if pid != program.process.pid]
        for pid in workers[:-1]:
            os.kill(pid, signal.SIGSTOP)
        program.process.kill()
        wait_until_none(server.keys, "the deletion")
        for pid in workers[:-1]:
            os.kill(pid, signal.SIGCONT)
        program.process.wait_until_gone()
        assert server.keys() == []

    def test_concurrent_runs_do_not_interfere(self, execute, flows, chain):
        def run_one(offset):
            made = flows.Makes(lambda number: number + offset)
            graph = chain(flows.Numbers(), made, flows.Relay(), flows.Kept())
            return execute(graph, 3000, 2).outputs["Kept3"]["output"][0]

        offsets = (0, 10_000, 20_000)
        with ThreadPoolExecutor(3) as pool:
            got = [*pool.map(run_one, offsets)]
        assert got == [[o + number for number in range(1, 3001)] for o in offsets]
