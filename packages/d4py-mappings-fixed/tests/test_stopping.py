"""A run that is stopped from outside leaves nothing behind."""

import os
import signal
import time

import pytest
from fixed_helpers.texts import KEEPS_THE_LOCK

from d4py_conformance.subprocesses.programs import outputs_so_far

#: An endless run, which makes a file when the first item has arrived at the last PE.
WORKFLOW = """
    from fixed_flows import Numbers, Relay, Sleeps
    from dispel4py import WorkflowGraph, run

    graph = WorkflowGraph()
    numbers, relay, sleeps = Numbers(), Relay(), Sleeps(0.001, path="ready")
    graph.connect(numbers, "output", relay, "input")
    graph.connect(relay, "output", sleeps, "input")
"""
SCRIPT = (
    WORKFLOW
    + """
    if __name__ == "__main__":
        import sys
        options = dict(option.split("=", 1) for option in sys.argv[2:])
        run(graph, sys.argv[1], 10**9, on_result=lambda *result: None, **options)
"""
)
WAYS = ["command", "script"]


@pytest.fixture
def running(write, command, start, wait_until, tmp_path, mapping):
    """Starts an endless run as a command or a script, and waits for its first item."""

    def begin(way, **options):
        if way == "command":
            write("endless.py", WORKFLOW)
            program = command(mapping, "endless.py", "-i", 10**9, "--output", os.devnull)
        else:
            write("endless.py", SCRIPT)
            program = start(
                "endless.py", mapping, *(f"{name}={value}" for name, value in options.items())
            )

        def has_begun():
            assert program.process.poll() is None, program.end()
            return (tmp_path / "ready").exists()

        wait_until(has_begun, "the first item")
        assert len(program.members()) >= 4
        return program

    return begin


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_c4_a_signal_stops_everything(running, way, number):
    program = running(way)
    program.process.send_signal(number)
    program.wait_until_gone()
    status, _, err = program.end()
    if way == "command":
        assert status == 130
        assert err.splitlines()[-1] == "dispel4py: interrupted"
        assert "Traceback" not in err
    elif number == signal.SIGINT:
        assert err.splitlines()[-1] == "KeyboardInterrupt"
    else:
        assert status == -signal.SIGTERM


@pytest.mark.parametrize("way", WAYS)
def test_c4_after_ctrl_c_for_all_processes_only_the_driver_prints(running, way):
    program = running(way)
    os.killpg(program.process.pid, signal.SIGINT)
    program.wait_until_gone()
    _, _, err = program.end()
    last = {"command": "dispel4py: interrupted", "script": "KeyboardInterrupt"}[way]
    assert err.splitlines()[-1] == last
    assert "d4py-worker" not in err
    assert "Traceback" not in err or way == "script"


@pytest.mark.parametrize("start_method", ["fork", "forkserver", "spawn"])
def test_c4_nothing_is_left_when_the_driver_is_killed(running, start_method):
    program = running("script", start_method=start_method)
    program.process.kill()
    program.wait_until_gone()


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_c4_so_it_is_where_a_call_keeps_pythons_lock(
    command, write, mapping, wait_until, tmp_path, start_method
):
    write("flow.py", KEEPS_THE_LOCK)
    program = command(mapping, "flow.py", "-i", 3, "--start-method", start_method)
    wait_until((tmp_path / "ready").exists, "the call")
    program.process.kill()
    program.wait_until_gone()


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.2, 0.3, 0.4])
def test_c4_ctrl_c_during_start_leaves_nothing(write, start, mapping, delay):
    write("endless.py", SCRIPT)
    program = start("endless.py", mapping, "start_method=spawn")
    time.sleep(delay)  # any progress of the start will do
    os.killpg(program.process.pid, signal.SIGINT)
    program.wait_until_gone()
    _, _, err = program.end()
    assert "d4py-worker" not in err


@pytest.mark.parametrize("how", ["it raises", "it is killed"])
def test_c3_c5_a_command_that_fails_leaves_nothing(command, write, mapping, how):
    write("flow.py", WORKFLOW.replace('Sleeps(0.001, path="ready")', f"Fails({_HOW[how]})")
          .replace("import Numbers,", "import Fails, Numbers,"))  # fmt: skip
    program = command(mapping, "flow.py", "-i", 10**9)
    status, out, err = program.end()
    assert status == 1
    found = outputs_so_far(out).get("Fails2", {"output": []})["output"]
    assert found == [*range(1, len(found) + 1)]
    assert len(found) < 500
    assert "Fails2" in err
    assert ("the sensor is broken" if how == "it raises" else "killed by SIGKILL") in err
    program.wait_until_gone()


_HOW = {"it raises": "500", "it is killed": "500, 'kill -9'"}


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_c4_signals_are_blocked_while_processes_are_being_started(start, write, method):
    write(
        "script.py",
        """
        import operator, signal, sys
        from dispel4py.processes.workers.pool import WorkerPool
        from dispel4py.processes.workers.start_methods import Start

        class Noting:
            def __reduce__(self):  # called while its process is being started
                seen.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))
                return int, ()

        seen = []
        if __name__ == "__main__":
            pool = WorkerPool(operator.is_, [(Noting(),), (Noting(),)], Start(sys.argv[1]))
            pool.join(60)
            assert pool.check() == []
            pool.stop()
            held_back = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
            print([held_back <= blocked for blocked in seen])
        """,
    )
    assert start("script.py", method).end() == (0, "[True, True]\n", "")
