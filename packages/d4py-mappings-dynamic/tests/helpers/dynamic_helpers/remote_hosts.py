"""A driver and remote workers as commands, the server between them, and their workflow."""

import ast
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import redis

from d4py_conformance.subprocesses.network_namespaces import ADDRESSES, in_namespace
from d4py_conformance.subprocesses.programs import Command
from d4py_conformance.subprocesses.reserved_ports import ReservedPort
from d4py_conformance.waiting import LIMIT, wait_until
from dynamic_helpers.servers import server_program

COMMAND = Path(sysconfig.get_path("scripts"), "dispel4py")
SECRET, PASSWORD = secrets.token_urlsafe(32), secrets.token_urlsafe(16)
MARKER = "marker-in-every-item"

#: Remote workers have no file of this workflow.  Items take 20 ms each until the gate is open, a
#: file, so that no run ends before the test has done its part.
WORKFLOW = f"""
import ctypes, os, time
from dispel4py import GenericPE, IterativePE, ProducerPE, WorkflowGraph

class Word(str):
    number = 0

class First(ProducerPE):
    number = 0
    def __init__(self):
        super().__init__()
        self.gate, self.pause = os.environ["GATE"], float(os.environ.get("PAUSE", "0"))
    def _process(self, inputs):
        until = time.monotonic() + self.pause
        while not os.path.exists(self.gate) and time.monotonic() < until:
            time.sleep(0.01)
        self.number += 1
        word = Word("{MARKER} %d" % self.number)
        word.number = self.number
        return word

class Fetch(First):
    independent_calls = True
    def _process(self, inputs):
        self.number = inputs["number"] - 1
        return First._process(self, inputs)

class Middle(IterativePE):
    def __init__(self):
        super().__init__()
        self.gate = os.environ["GATE"]
        self.misbehave = os.environ.get("MISBEHAVE")
        self.holds_lock_at = int(os.environ.get("HOLDS_LOCK_AT", "0"))
    def _process(self, word):
        assert type(word) is Word
        if self.misbehave:
            raise ValueError("the sensor is broken")
        if word.number == self.holds_lock_at:
            ctypes.PyDLL(None).usleep(2_500_000)
        if not os.path.exists(self.gate):
            time.sleep(0.02)
        return word.number % 7, str(word)

class Tally(IterativePE):
    seen = 0
    def _process(self, pair):
        self.seen += 1
        return pair
    def _postprocess(self):
        self.write("output", ("seen", self.seen))

class Collect(GenericPE):
    def __init__(self):
        super().__init__()
        self.numprocesses = 3
        self._add_input("input", grouping=[0])
        self._add_output("output")
        self.words = {{}}
    def process(self, inputs):
        key, word = inputs["input"]
        self.words.setdefault(key, []).append(word)
    def _postprocess(self):
        for key, words in self.words.items():
            self.write("output", (key, sorted(words)))

def graph_of(*pes):
    graph = WorkflowGraph()
    for before, after in zip(pes, pes[1:]):
        graph.connect(before, "output", after, "input")
    return graph

plain = graph_of(First(), Middle())
fetched = graph_of(Fetch(), Middle())
tallied = graph_of(First(), Middle(), Tally())
collected = graph_of(First(), Middle(), Collect())
"""


class Hosts:
    """The driver's host, which runs the server too, and the host of remote workers.

    Args:
        namespaces: the names of two network namespaces; None takes this host for both.
    """

    def __init__(self, namespaces=None):
        self.folder = Path(tempfile.mkdtemp(prefix="d4py-test-"))
        for name in ("here", "there"):
            (self.folder / name).mkdir()
        (self.folder / "here" / "wf.py").write_text(WORKFLOW)
        self.gate = self.folder / "gate"
        self.prefixes = [in_namespace(name) for name in namespaces] if namespaces else [[], []]
        self.started = []
        address = ADDRESSES[0] if namespaces else "127.0.0.1"
        self.reserved = ReservedPort()
        port = self.reserved.number
        self.address = f"redis://{address}:{port}"
        self.url = f"redis://:{PASSWORD}@{address}:{port}"
        self.client = redis.from_url(f"unix://:{PASSWORD}@{self.folder}/redis.sock")
        command = [server_program(), "--bind", address, "--port", str(port), "--requirepass"]
        command += [PASSWORD, "--unixsocket", f"{self.folder}/redis.sock"]
        command += ["--dir", str(self.folder), "--save", "", "--appendonly", "no"]
        self.server = subprocess.Popen(
            [*self.prefixes[0], *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        wait_until(self._answers, "the server has not started")

    def driver(self, mapping, graph, *arguments, **environment):
        arguments = [mapping, "wf.py", "-a", graph, "--redis-url", self.url, *arguments]
        return self._start(0, "here", arguments, environment)

    def workers(self, *arguments, **environment):
        arguments = ["worker", "--redis-url", self.url, "--wait", 20, *arguments]
        return self._start(1, "there", arguments, environment)

    def resume(self, *arguments, **environment):
        """Start ``dispel4py resume``, where the workflow's file is not."""
        arguments = ["resume", "--redis-url", self.url, *arguments]
        return self._start(0, "there", arguments, environment)

    def command(self, *arguments, **environment):
        """Run a command on the remote workers' host to its end."""
        return subprocess.run(
            [*self.prefixes[1], COMMAND, *map(str, arguments)],
            **self._settings("there", environment),
            text=True,
            timeout=LIMIT,
            check=False,
        )

    def _start(self, host, folder, arguments, environment):
        process = Command(
            [*self.prefixes[host], COMMAND, *map(str, arguments)],
            **self._settings(folder, environment),
        )
        self.started.append(process)
        return process

    def _settings(self, folder, environment):
        more = {"D4PY_KEY": SECRET, "GATE": str(self.gate), **environment}
        return {
            "cwd": self.folder / folder,
            "env": {name: text for name, text in {**os.environ, **more}.items() if text},
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }

    def open_gate(self):
        self.gate.touch()

    def prefix(self):
        """Return the prefix of the keys of the only run."""
        return f"d4py:{{{self.run_id()}}}"

    def run_id(self):
        """Return the id of the only run."""
        wait_until(lambda: self.client.scard("d4py:runs") == 1, "there is no run")
        (run_id,) = self.client.smembers("d4py:runs")
        return run_id.decode()

    def ranks(self):
        """Return the numbers of the workers that there are."""
        names = self.client.hkeys(f"{self.prefix()}:members")
        return {int(name) for name in names if name != b"driver"}

    def seconds_of_silence(self, rank):
        """Return the age of a worker's last heartbeat in seconds."""
        last = int(self.client.hget(f"{self.prefix()}:members", rank)) / 1000
        return self.client.time()[0] - last

    def calls(self, ranks):
        """Return how often these workers have called PEs, as far as committed."""
        found = self.client.hgetall(f"{self.prefix()}:calls")
        return sum(int(n) for name, n in found.items() if int(name.split(b"/")[1]) in ranks)

    def await_work(self, ranks):
        """Wait until each of these workers makes progress."""
        for rank in ranks:
            before = self.calls({rank})
            wait_until(
                lambda rank=rank, n=before: self.calls({rank}) > n, f"progress of worker {rank}"
            )

    def await_ranks(self, count):
        wait_until(lambda: len(self.ranks()) == count, "not all workers have joined")
        return self.ranks()

    def values(self):
        """Return everything on the server, by key."""
        read = {
            b"string": self.client.get,
            b"hash": self.client.hgetall,
            b"set": self.client.smembers,
            b"stream": self.client.xrange,
        }
        found = {}
        for key in self.client.scan_iter():
            value = read.get(self.client.type(key), lambda key: None)(key)
            found[key] = repr(value)
        return found

    def stop(self):
        for process in self.started:
            process.send_to_all(signal.SIGKILL)
            process.communicate()
        self.client.close()
        self.server.kill()
        self.server.wait()
        self.reserved.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self):
        assert self.server.poll() is None, "the server ended"
        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False


def fetched(hosts, count):
    """Write a file of inputs for the graph of that name, whose root's calls are shared."""
    path = hosts.folder / "inputs.json"
    path.write_text(json.dumps({"Fetch0": [{"number": n + 1} for n in range(count)]}))
    return path


def children(process):
    """Return the processes that a command has started, but for the shell that outlives it."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,comm="], capture_output=True, text=True, check=True
    )
    found = (line.split(maxsplit=2) for line in listed.stdout.splitlines())
    return sorted(
        int(pid) for pid, parent, name in found if int(parent) == process.pid and name != "sh"
    )


def outputs(out):
    """Return the results of the last PE, as they were printed."""
    found = re.search(r"^Outputs: (\{.*\})$", out, re.MULTILINE)
    assert found, out
    ((items,),) = [ports.values() for ports in ast.literal_eval(found[1]).values()]
    return items


def assert_exact(out, graph, count):
    """Assert that the results are those of `count` items, each once."""
    wanted = sorted((n % 7, f"{MARKER} {n}") for n in range(1, count + 1))
    items = outputs(out)
    if graph == "collected":
        items = [(key, word) for key, words in items for word in words]
    if graph == "tallied":
        seen = [number for key, number in items if key == "seen"]
        assert sum(seen) == count, seen
        items = [item for item in items if item[0] != "seen"]
    assert sorted(items) == wanted
