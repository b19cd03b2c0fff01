"""Runs a graph in a process of its own, for tests that interrupt it or look at what it leaves.

Whatever that process starts, and whatever is started by what it started, inherits a variable of
its environment; so a process that was left behind is found even if it is an orphan by then.
"""

from __future__ import annotations

import os
import pickle
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from d4py_conformance.subprocesses.programs import describe_process
from d4py_conformance.waiting import LIMIT
from dispel4py import WorkflowGraph
from dispel4py.registry import Mapping

#: Every process of a run isolated has this variable, with a value of its own for each run.
_MARK = "D4PY_CONFORMANCE_RUN"
#: Seconds in which a process that is on its way out may still be seen.
_ON_ITS_WAY = 5.0
#: A script as users write it, without a guard against a second import.
_WITHOUT_GUARD = """
import sys
from pathlib import Path
from d4py_conformance.subprocesses.child import main
sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
"""


class IsolatedRunError(Exception):
    """A run isolated did not do what a test waited for."""


@dataclass(frozen=True)
class Answer:
    """How a run isolated ended.

    Attributes:
        outputs: its results.
        instances: the id of its PE for each instance.
        errors: names of the class of the exception that it ended with, and of that one's bases.
        message: of that exception.
        status: exit status of the process.
        stderr: what it printed as errors.
        stdout: what it printed, unless a test has taken that itself.
    """

    outputs: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    instances: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    message: str = ""
    status: int = 0
    stderr: str = ""
    stdout: str = ""


class IsolatedRun:
    """A run in a process of its own.

    Args:
        folder: an empty folder.
        mapping: the mapping, or its name.
        graph: the graph; pickled.
        inputs: see `dispel4py.run`.
        options: see `dispel4py.run`.
        environment: variables to set beside.
        stdin: what it reads from standard input.
        stdout: descriptor of its standard output; None is a file.
        guarded: a process that imports its main script does not run the graph again.
    """

    def __init__(
        self,
        folder: Path,
        mapping: str | Mapping,
        graph: WorkflowGraph,
        inputs: Any,
        options: dict[str, Any],
        environment: dict[str, str] | None = None,
        stdin: str = "",
        stdout: int | None = None,
        *,
        guarded: bool = True,
    ) -> None:
        self._mark = secrets.token_hex(16)
        self._answer_file = folder / "answer"
        self._stderr_file = folder / "stderr"
        self._stdout_file = folder / "stdout"
        stdin_file = folder / "stdin"
        stdin_file.write_text(stdin)
        # A short path: that of a Unix socket has to fit into a hundred characters.
        self._temporary = Path(tempfile.mkdtemp(prefix="d4py"))
        kind = type(mapping)
        module = sys.modules[kind.__module__]
        order = {
            "module": (kind.__module__, getattr(module, "__file__", None) or ""),
            "mapping": pickle.dumps(mapping),
            "graph": graph,
            "inputs": inputs,
            "options": options,
        }
        order_file = folder / "order"
        order_file.write_bytes(pickle.dumps(order))
        command = [sys.executable, "-m", "d4py_conformance.subprocesses.child"]
        if not guarded:
            script = folder / "script.py"
            script.write_text(_WITHOUT_GUARD)
            command = [sys.executable, str(script)]
        with (
            self._stderr_file.open("wb") as stderr,
            self._stdout_file.open("wb") as stdout_file,
            stdin_file.open("rb") as input_file,
        ):
            self.process = subprocess.Popen(
                [*command, str(order_file), str(self._answer_file)],
                stdin=input_file,
                stdout=stdout_file if stdout is None else stdout,
                stderr=stderr,
                start_new_session=True,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(sys.path),
                    "PYTHONUNBUFFERED": "",  # where it is set, nothing waits to be printed
                    "TMPDIR": str(self._temporary),
                    _MARK: self._mark,
                    **(environment or {}),
                },
            )

    def wait(self, seconds: float = LIMIT) -> Answer:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it took longer.
        """
        self.process.wait(seconds)
        stderr = self._stderr_file.read_text(errors="replace")
        stdout = self._stdout_file.read_text(errors="replace")
        if not self._answer_file.exists():
            status = self.process.returncode
            return Answer(status=status, stderr=stderr, stdout=stdout)
        answer: dict[str, Any] = pickle.loads(self._answer_file.read_bytes())
        return Answer(
            answer["outputs"],
            tuple(answer["instances"]),
            tuple(answer["errors"]),
            answer["message"],
            self.process.returncode,
            stderr,
            stdout,
        )

    def wait_for(self, file: Path, seconds: float = LIMIT) -> None:
        """Wait until the run has made a file."""
        until = time.monotonic() + seconds
        while not file.exists():
            if self.process.poll() is not None:
                raise IsolatedRunError(f"the run ended too early: {self.wait()}")
            if time.monotonic() > until:
                raise IsolatedRunError(f"the run has not made {file.name} within {seconds} s")
            time.sleep(0.01)

    def interrupt(self, number: signal.Signals) -> None:
        """Send a signal: Ctrl-C to the whole group as a terminal does, others to the process."""
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def left_behind(self) -> list[str]:
        """Return what is there after its end: processes, temporary files, shared memory."""
        processes = self._processes()
        _, alive = psutil.wait_procs(processes, timeout=_ON_ITS_WAY)
        left = [describe_process(process) for process in alive if _is_running(process)]
        left += [f"temporary file {path.name}" for path in self._temporary.iterdir()]
        # Python's resource tracker prints it when it has to remove a segment itself.
        lines = self._stderr_file.read_text(errors="replace").splitlines()
        return left + [line for line in lines if "leaked" in line]

    def kill(self) -> None:
        """End everything that is left of it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        shutil.rmtree(self._temporary, ignore_errors=True)
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(_MARK) == self._mark and _is_running(process):
                    found.append(process)
            except psutil.Error:  # gone, or not ours
                continue
        return [process for process in found if process.pid != self.process.pid]


def _is_running(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
