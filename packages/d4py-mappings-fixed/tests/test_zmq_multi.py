"""`zmq_multi` on one host: however a run ends, it ends soon and leaves nothing behind."""

import os
import signal
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

import pytest

pytest.importorskip("zmq")

from d4py_fixed.multi import MultiMapping
from d4py_fixed.zmq_multi import ZmqMultiMapping
from dispel4py import run
from dispel4py.errors import OptionError
from dispel4py.loading import load_graph
from dispel4py.result import RunOptions

COMMAND = Path(sysconfig.get_path("scripts"), "dispel4py")

#: Every PE says where it runs, and does what the environment asks of it.
WORKFLOW = """
import os, pathlib, time
from dispel4py import GenericPE, IterativePE, ProducerPE, WorkflowGraph

def misbehave(pe, phase):
    where, _, how = os.environ.get("MISBEHAVE", "").partition(" ")
    if where == f"{type(pe).__name__}.{phase}":
        if how == "exit":
            os._exit(3)
        raise ValueError("the sensor is broken")

class Told:
    def _preprocess(self):
        pathlib.Path(f"{self.id}.{os.getpid()}").touch()
        misbehave(self, "preprocess")
    def _postprocess(self):
        misbehave(self, "postprocess")

class First(Told, ProducerPE):
    count = 0
    def _process(self, inputs):
        misbehave(self, "process")
        self.count += 1
        if "SLOWLY" in os.environ:
            time.sleep(0.01)
        return self.count

class Middle(Told, IterativePE):
    def _process(self, data):
        misbehave(self, "process")
        return data

class Last(Told, IterativePE):
    def _process(self, data):
        misbehave(self, "process")
        return data

graph = WorkflowGraph()
first, middle, last = First(), Middle(), Last()
graph.connect(first, "output", middle, "input")
graph.connect(middle, "output", last, "input")
"""

PES = ["First0", "Middle1", "Last2"]


@pytest.fixture
def folder(monkeypatch):
    """The current folder, with the workflow in it; temporary files go there too."""
    with tempfile.TemporaryDirectory(prefix="d4py-test-") as made:  # short enough for sockets
        monkeypatch.chdir(made)
        monkeypatch.setenv("TMPDIR", made)
        monkeypatch.setattr("tempfile.tempdir", made)
        Path("wf.py").write_text(WORKFLOW)
        yield Path(made)


def sockets(folder):
    return list(folder.glob("d4py-zmq-*/*"))


@pytest.fixture
def start(folder):
    """Starts the command in a process group of its own, which is killed at the end."""
    started = []

    def start(*arguments, **environment):
        process = subprocess.Popen(
            [COMMAND, "zmq_multi", "wf.py", *map(str, arguments)],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if group_lives(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def group_lives(group):
    """A process of the group lives; one that is only still listed (a zombie) does not."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pgid=,stat="], capture_output=True, text=True, check=True
    )
    entries = (line.split() for line in listed.stdout.splitlines())
    return any(number == str(group) and state[0] != "Z" for number, state in entries)


def wait_until(condition, what, seconds=20.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"{what} after {seconds} s"
        time.sleep(0.02)


def pids_of_pes(folder):
    """PE → process, once all run."""

    def found():
        return {path.stem: int(path.suffix[1:]) for path in folder.glob("*.[0-9]*")}

    wait_until(lambda: set(found()) == set(PES), "not all have started")
    return found()


def assert_nothing_is_left(process, folder, seconds=1.0):
    wait_until(lambda: not group_lives(process.pid), "processes are left", seconds)
    wait_until(lambda: not sockets(folder), "sockets are left", seconds)
    assert list(folder.glob("d4py-*")) == []


@pytest.mark.parametrize("start_method", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_runs_under_every_start_method(start, folder, start_method, processes):
    process = start("-i", 5, "-n", processes, "--start-method", start_method)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert out.count("\n") == 1
    assert sorted(out[out.rindex("[") :]) == sorted("[1, 2, 3, 4, 5]}}\n")
    assert_nothing_is_left(process, folder)


@pytest.mark.parametrize("phase", ["preprocess", "process", "postprocess"])
@pytest.mark.parametrize("pe", PES)
def test_c3_an_exception_is_told_and_stops_the_run(start, folder, pe, phase):
    process = start("-i", 50, MISBEHAVE=f"{pe[:-1]}.{phase}")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert f"{pe} (instance 0) failed in {phase}" in err
    assert "the sensor is broken" in err
    assert "in misbehave" in err
    assert_nothing_is_left(process, folder)


@pytest.mark.parametrize("pe", PES)
def test_c5_a_process_that_exits_is_told(start, folder, pe):
    process = start("-i", 50, MISBEHAVE=f"{pe[:-1]}.process exit")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert f"exit status 3; it ran {pe} (instance 0)" in err
    assert_nothing_is_left(process, folder)


@pytest.mark.parametrize("pe", PES)
def test_c5_so_is_one_that_is_killed(start, folder, pe):
    process = start("-i", 1_000_000, SLOWLY="1")
    pids = pids_of_pes(folder)
    os.kill(pids[pe], signal.SIGKILL)
    killed_at = time.monotonic()
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - killed_at < 2.0
    assert process.returncode == 1
    assert f"killed by SIGKILL; it ran {pe} (instance 0)" in err
    assert_nothing_is_left(process, folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("slowly", [{}, {"SLOWLY": "1"}], ids=["at full speed", "slowly"])
def test_c4_a_signal_stops_everything(start, folder, number, slowly):
    process = start("-i", 100_000_000, "--output", "out.jsonl", **slowly)
    pids_of_pes(folder)
    sent_at = time.monotonic()
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as the terminal does
    else:
        process.send_signal(number)
    process.communicate(timeout=20)
    assert time.monotonic() - sent_at < 2.0
    assert process.returncode == 130
    assert_nothing_is_left(process, folder)


def test_c4_nothing_is_left_when_the_driver_is_killed(start, folder):
    process = start("-i", 1_000_000, SLOWLY="1")
    pids_of_pes(folder)
    assert sockets(folder)
    process.kill()
    process.wait()
    assert_nothing_is_left(process, folder, 3.0)


def test_nothing_is_left_when_the_processes_cannot_be_started(folder):
    with pytest.raises(OptionError, match="no start method 'telepathy'"):
        run(load_graph("wf.py"), "zmq_multi", 5, start_method="telepathy")
    assert list(folder.glob("d4py-*")) == []


def test_options_of_several_hosts_need_an_address(folder):
    graph = load_graph("wf.py")
    for options in ({"local": 2}, {"key_file": "key"}):
        with pytest.raises(OptionError, match="--local and --key-file are for several hosts"):
            run(graph, "zmq_multi", 5, **options)
    with pytest.raises(OptionError, match="--connect takes no workflow"):
        run(graph, "zmq_multi", 5, connect="tcp://127.0.0.1:5555")
    with pytest.raises(OptionError, match="a WORKFLOW is missing"):
        ZmqMultiMapping().take_part(RunOptions())


def test_it_can_do_what_multi_can():
    ours, theirs = ZmqMultiMapping().capabilities, MultiMapping().capabilities
    assert set(theirs.declared()) | {"multi_host"} == set(ours.declared())
