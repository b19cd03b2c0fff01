"""The real command in an empty folder: in a process of its own, as users run it, or in this one.

A process of its own is for what depends on one: signals, terminals, worker processes, the end of
the interpreter, libraries that are hidden.  All else calls `main`, which takes a hundredth of the
time.
"""

import ast
import gc
import io
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from d4py_cli.main import main
from d4py_conformance.subprocesses.programs import file_writer
from d4py_conformance.waiting import LIMIT

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

    return file_writer(folder, WORKFLOW)


@pytest.fixture
def dispel4py(folder):
    """Runs the command in the current folder and waits for its end."""

    def run(*arguments, timeout=LIMIT, prefix=(), env=None):
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
def invoke(folder, monkeypatch):
    """Runs the command in this process; what it changes of the process is undone.

    Workflows that it imports are forgotten, so a test may run one after another of the same name.
    """

    def run(*arguments, env=None):
        with monkeypatch.context() as patched, interpreter_restored():
            for name in os.environ.keys() - environment().keys():
                patched.delenv(name)
            for name, value in (env or {}).items():
                patched.setenv(name, value)
            streams = [io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2)]
            patched.setattr(sys, "stdout", streams[0])
            patched.setattr(sys, "stderr", streams[1])
            patched.setattr(sys, "stdin", io.StringIO())
            patched.setattr(sys, "dont_write_bytecode", True)  # files are written anew too fast
            status = main([*map(str, arguments)])
        for stream in streams:
            stream.flush()
        return Done(status, *(stream.buffer.getvalue().decode() for stream in streams))

    return run


def interpreter_state():
    """What a command in this process may change of it, and has to leave as it was."""
    loggers = [logging.getLogger(name) for name in (None, "dispel4py", "dispel4py.run")]
    return {
        "arguments": list(sys.argv),
        "folder": os.getcwd(),
        "signal handlers": {
            number: signal.getsignal(number)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        },
        "garbage collection": gc.isenabled(),
        "logging": [(it.level, it.propagate, it.disabled, [*it.handlers]) for it in loggers],
    }


@contextmanager
def interpreter_restored():
    """Check that the interpreter is left as it was, but for imports, which are undone."""
    before = interpreter_state()
    modules, path = dict(sys.modules), list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = path
        for name in sys.modules.keys() - modules.keys():
            file = getattr(sys.modules[name], "__file__", None) or ""
            if file.startswith(before["folder"]):
                del sys.modules[name]
    after = interpreter_state()
    changed = [name for name in before if after[name] != before[name]]
    assert not changed, f"the command has changed {changed} of this process"


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


@pytest.fixture(scope="module")  # its event loop runs on: other tests could not run one
def chromium():
    """A browser; skips where there is none, and fails where CI says that there must be one."""
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no Chromium")
        pytest.skip("there is no Chromium; Debian has it as a package")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def web_page(chromium):
    """A page of the browser; at the end of the test it must have reported no error."""
    page = chromium.new_page(viewport={"width": 1300, "height": 900})
    page.set_default_timeout(60_000)
    errors = []
    page.on("console", lambda it: errors.append(it.text) if it.type == "error" else None)
    page.on("pageerror", lambda it: errors.append(str(it)))
    yield page
    page.close()
    assert not errors
