"""Rule I10: what PEs have begun in a worker finishes before a run ends, wherever the worker is."""

import os
import signal
from pathlib import Path

import pytest
from dynamic_helpers.remote_hosts import Hosts, children

from d4py_conformance.subprocesses.network_namespaces import ended
from d4py_conformance.waiting import wait_until, wait_until_none

#: A thread goes on until the gate is open, and then leaves a file.
WORKFLOW = """
import os, pathlib, threading, time
from dispel4py import ConsumerPE, ProducerPE, WorkflowGraph

class Uploads(ConsumerPE):
    def __init__(self):
        super().__init__()
        self.gate, self.fails = os.environ["GATE"], os.environ.get("MISBEHAVE")
    def _process(self, data):
        threading.Thread(target=self.work, name="upload").start()
    def work(self):
        pathlib.Path(self.gate + ".working").touch()
        until = time.monotonic() + 3600
        while not os.path.exists(self.gate) and time.monotonic() < until:
            time.sleep(0.01)
        if self.fails:
            raise ValueError("the line is down")
        pathlib.Path(self.gate + ".done").touch()

class First(ProducerPE):
    def _process(self, inputs):
        return 1

plain = WorkflowGraph()
plain.connect(First(), "output", Uploads(), "input")
"""


class Uploading:
    """A run whose one worker is done but for a thread, and what is said of it."""

    def __init__(self, hosts, where, **environment):
        (hosts.folder / "here" / "wf.py").write_text(WORKFLOW)
        self.hosts = hosts
        count = 0 if where == "elsewhere" else 1
        self.driver = hosts.driver("dyn_redis", "plain", "-i", 1, "-n", count, **environment)
        self.parent = self.driver if count else hosts.workers("-n", 1)
        working = Path(f"{hosts.gate}.working")
        wait_until(working.exists, "a thread at work")
        self.said = ""
        while "waiting for" not in self.said:
            line = self.driver.stderr.readline()
            assert line, self.said
            self.said += line

    @property
    def is_done(self):
        return Path(f"{self.hosts.gate}.done").exists()

    def end(self, status):
        _, err = ended(self.driver, status)
        wait_until_none(self.hosts.client.keys, "the deletion of all keys")
        return self.said + err


@pytest.fixture
def hosts():
    made = Hosts()
    yield made
    made.stop()


@pytest.fixture(params=["here", "elsewhere"])
def begin(request, hosts):
    return lambda **environment: Uploading(hosts, request.param, **environment)


def test_i10_threads_are_waited_for_and_named(begin, hosts):
    run = begin()
    assert "waiting for worker 0: its thread 'upload' still runs" in run.said
    hosts.open_gate()
    run.end(0)
    assert run.is_done


def test_i10_a_thread_that_raises_fails_the_run(begin, hosts):
    run = begin(MISBEHAVE="1")
    hosts.open_gate()
    err = run.end(1)
    assert "the thread 'upload', which a PE has started, failed: ValueError: the line is" in err


def test_i10_a_worker_that_is_killed_with_a_thread_fails_the_run(begin, hosts):
    run = begin()
    (worker,) = children(run.parent)[-1:]
    os.kill(worker, signal.SIGKILL)
    err = run.end(1)
    assert "worker 0" in err
    assert "while its thread 'upload' still ran" in err


def test_i10_c4_a_signal_ends_the_waiting(begin, hosts):
    run = begin()
    run.driver.send_signal(signal.SIGINT)
    _, err = ended(run.driver, 130)
    assert "Traceback" not in err


def test_i10_a_remote_worker_that_leaves_while_a_thread_runs_fails_the_run(hosts):
    run = Uploading(hosts, "elsewhere")
    run.parent.send_signal(signal.SIGINT)
    _, err = ended(run.parent, 130)
    assert "stopped while its thread 'upload' still ran" in err
    assert "while its thread 'upload' still ran" in run.end(1)
