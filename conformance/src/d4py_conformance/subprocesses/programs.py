"""Programs that a test starts, interrupts and kills, with everything that they start themselves.

For what only a whole program shows: how it ends, what it prints, what it leaves behind.
"""

from __future__ import annotations

import ast
import os
import secrets
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from d4py_conformance.waiting import LIMIT, wait_until_none
from dispel4py import WorkflowGraph

#: All processes of a command have this variable, with a value of its own for each command.
_MARK = "D4PY_TEST_COMMAND"


def file_writer(folder: Path, default: str = "") -> Callable[..., Path]:
    """Return a function that writes a file of a folder, and returns its path.

    Args:
        folder: the folder; those between it and the file are made.
        default: the text of a file for which none is given; any text may be indented.
    """

    def write_file(name: str, text: str = default) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write_file


def failing_run(execute: Callable[..., object]) -> Callable[..., Any]:
    """Return a function that runs a graph which fails, and returns the error.

    Args:
        execute: runs a graph.
    """

    def run_and_fail(
        graph: WorkflowGraph, expected: type[Exception], inputs: Any = 20, **options: Any
    ) -> Exception:
        with pytest.raises(expected) as caught:
            execute(graph, inputs, **options)
        return caught.value

    return run_and_fail


def outputs_so_far(printed: str) -> dict[str, dict[str, list[Any]]]:
    """Return the outputs that a command which failed had, and printed (rule C9); empty if none."""
    if not printed:
        return {}
    title, _, shown = printed.partition(": ")
    assert title == "Outputs so far"
    outputs: dict[str, dict[str, list[Any]]] = ast.literal_eval(shown)
    return outputs


def describe_process(process: psutil.Process) -> str:
    """Return the number and command line of a process; the number only, if it cannot be read."""
    try:
        return f"process {process.pid}: {' '.join(process.cmdline())[:200]}"
    except psutil.Error:
        return f"process {process.pid}"


class Command(subprocess.Popen[str]):
    """A command in a session of its own, with all that it starts, whatever becomes of itself.

    Args:
        arguments: what to run.
        env: its environment.
        settings: see `subprocess.Popen`.
    """

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], **settings: Any) -> None:
        self._mark = secrets.token_hex(8)
        super().__init__(
            arguments,
            env={**env, _MARK: self._mark},
            start_new_session=True,
            text=True,
            **settings,
        )

    def members(self) -> list[int]:
        """Return the numbers of its living processes, its own among them."""
        found = []
        for process in psutil.process_iter():
            # A process that has written a title over its environment, as Redis does, is found by
            # its session.
            with suppress(psutil.Error, ProcessLookupError):  # it has ended, or is not accessible
                is_marked = process.environ().get(_MARK) == self._mark
                is_member = is_marked or os.getsid(process.pid) == self.pid
                if is_member and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
        return found

    def described(self) -> list[str]:
        """Return its living processes, its own among them, as `describe_process` does."""
        lines = []
        for pid in self.members():
            with suppress(psutil.NoSuchProcess):
                lines.append(describe_process(psutil.Process(pid)))
        return lines

    def wait_until_gone(self) -> None:
        """Wait until none of its processes lives; an error lists those that do."""
        # Twice: the last one to be seen may have started another that was not, and ended.
        wait_until_none(lambda: self.described() or self.described(), "the end of all processes")

    def send_to_all(self, number: signal.Signals) -> None:
        """Send a signal to all its processes."""
        for pid in self.members():
            with suppress(ProcessLookupError):
                os.kill(pid, number)


class Program:
    """A Python program in a session of its own.

    Args:
        folder: where it runs.
        arguments: those of Python.
        environment: its environment.
        standard_input: what it reads; nothing by default.
    """

    def __init__(
        self,
        folder: Path,
        arguments: tuple[object, ...],
        environment: Mapping[str, str],
        standard_input: IO[str] | None = None,
    ) -> None:
        self.process = Command(
            [sys.executable, *map(str, arguments)],
            environment,
            cwd=folder,
            stdin=subprocess.DEVNULL if standard_input is None else standard_input,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def members(self) -> list[int]:
        """Return numbers of its processes that live, its own among them."""
        return self.process.members()

    def end(self, timeout: float = LIMIT) -> tuple[int, str, str]:
        """Its status, output and error output, when it has ended."""
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, err

    def clean_up(self) -> None:
        """Kill what is left of it."""
        self.process.send_to_all(signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
