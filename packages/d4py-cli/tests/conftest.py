"""The real command, run as users run it: in a process of its own, in an empty folder."""

import ast
import os
import re
import subprocess
import sysconfig
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

COMMAND = Path(sysconfig.get_path("scripts"), "dispel4py")

WORKFLOW = """
from dispel4py import ConsumerPE, IterativePE, ProducerPE, WorkflowGraph

class Count(ProducerPE):
    total = 0
    def _process(self, inputs):
        self.total += 1
        return self.total

class Square(IterativePE):
    def _process(self, data):
        return data * data

graph = WorkflowGraph()
graph.connect(Count(), "output", Square(), "input")
"""

#: Runs until it is stopped.
ENDLESS = """
import time
from dispel4py import IterativePE, ProducerPE, WorkflowGraph

class Tick(ProducerPE):
    def _process(self, inputs):
        time.sleep(0.01)
        return 1

class Pass(IterativePE):
    def _process(self, data):
        return data

graph = WorkflowGraph()
graph.connect(Tick(), "output", Pass(), "input")
"""


@dataclass
class Done:
    """What a command has done."""

    status: int
    out: str
    err: str

    @property
    def outputs(self):
        """The results that were printed, as the dict that they were printed as."""
        assert self.status == 0, self.err
        found = re.search(r"^Outputs: (\{.*\})$", self.out, re.MULTILINE)
        assert found, f"no results in {self.out!r}; {self.err}"
        return ast.literal_eval(found[1])


def environment(**more):
    hidden = ("PYTHONPATH", "PYTHONHASHSEED", "PYTHONUNBUFFERED", "REDIS_URL", "COLUMNS", "TERM")
    return {name: value for name, value in os.environ.items() if name not in hidden} | more


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(folder):
    """Writes a file of the current folder."""

    def write_file(name, text=WORKFLOW):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def dispel4py(folder):
    """Runs the command in the current folder and waits for its end."""

    def run(*arguments, timeout=30, prefix=(), env=None):
        done = subprocess.run(
            [*prefix, *([] if prefix else [COMMAND]), *map(str, arguments)],
            env=env or environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def start(folder):
    """Starts the command in the current folder; what still runs at the end is killed."""
    started = []

    def start_process(*arguments, **settings):
        settings.setdefault("stdout", subprocess.PIPE)
        settings.setdefault("stderr", subprocess.PIPE)
        settings.setdefault("env", environment())
        process = subprocess.Popen(
            [COMMAND, *map(str, arguments)], stdin=subprocess.DEVNULL, **settings
        )
        started.append(process)
        return process

    yield start_process
    for process in started:
        process.kill()
        process.wait()
        for stream in process.stdout, process.stderr:
            if stream is not None:
                stream.close()


@pytest.fixture
def endless(write):
    """A workflow that runs until it is stopped."""
    write("endless.py", ENDLESS)
    return "endless.py"
