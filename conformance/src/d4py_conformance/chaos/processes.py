"""What the chaos tests start: a server that can be killed and come back, and commands.

Everything is on this host, and everything is gone after `stop`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil

from d4py_conformance.subprocesses.deadline import stacks
from d4py_conformance.subprocesses.programs import Command, describe_process
from d4py_conformance.subprocesses.reserved_ports import ReservedPort
from d4py_conformance.waiting import wait_until

_COMMAND = Path(sysconfig.get_path("scripts"), "dispel4py")
_HOST = "127.0.0.1"


class Server:
    """A Redis or Valkey server on a port of this host.

    Args:
        program: the server program.
        folder: where it keeps what it is to keep.
        keeps: what it has answered is on the disk (an append-only file, synchronous).

    Attributes:
        port: its port, the same after each start.
    """

    def __init__(self, program: str, folder: Path, *, keeps: bool) -> None:
        self._reserved = ReservedPort()
        self.port = self._reserved.number
        appends = ["--appendonly", "yes", "--appendfsync", "always"]
        self._command = [program, "--bind", _HOST, "--port", str(self.port)]
        self._command += ["--dir", str(folder), "--save", "", "--loglevel", "warning"]
        self._command += appends if keeps else ["--appendonly", "no"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        if self._process is not None and self._process.poll() is None:
            return  # it was killed twice before the first start
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        wait_until(lambda: self._ask("PING") == b"+PONG\r\n", "the server's start")

    def kill(self) -> None:
        """End it at once; it prints and saves nothing any more."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it for good."""
        self.kill()
        self._reserved.close()

    def keys(self) -> int:
        """Return how many keys there are."""
        return int(self._ask("DBSIZE")[1:])

    def _ask(self, command: str) -> bytes:
        try:
            with socket.create_connection((_HOST, self.port), timeout=5) as line:
                line.sendall(f"{command}\r\n".encode())
                return line.recv(100)
        except OSError:
            return b""


class Commands:
    """``dispel4py`` commands, each with the processes that it starts.

    Args:
        folder: where they run.
        environment: variables of their environment beside ours.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = {**os.environ, **environment}
        self._started: list[Command] = []

    def start(self, *arguments: Any) -> Command:
        """Start one."""
        with (self._folder / f"printed-{len(self._started)}").open("w") as printed:
            process = Command(
                [str(_COMMAND), *map(str, arguments)],
                self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=printed,
            )
        self._started.append(process)
        return process

    def workers(self, command: Command) -> list[int]:
        """Return the worker processes of one that live; not what Python has started for itself."""
        found = [process for process in self._processes([command]) if process.pid != command.pid]
        parents = {process.info["ppid"] for process in found}
        return [
            process.pid
            for process in found
            if process.pid not in parents and "resource_tracker" not in _line(process)
        ]

    def left(self) -> list[str]:
        """Return the processes that live, of all commands."""
        return [describe_process(process) for process in self._all()]

    def stacks(self) -> str:
        """Return the stacks of all of them."""
        return "\n".join(stacks(process) for process in self._all())

    def printed(self, process: Command) -> str:
        """Return what a process has written to its standard error output."""
        number = self._started.index(process)
        return (self._folder / f"printed-{number}").read_text(errors="replace").strip()

    def stop(self) -> None:
        """End all of them, with all that they have started."""
        for process in self._all():
            send(process.pid, signal.SIGKILL)
        for command in self._started:
            command.wait()

    def _all(self) -> list[psutil.Process]:
        return self._processes(self._started)

    def _processes(self, commands: Iterable[Command]) -> list[psutil.Process]:
        """Processes of some commands that live."""
        members = {pid for command in commands for pid in command.members()}
        return [
            process
            for process in psutil.process_iter(["ppid", "cmdline", "status"])
            if process.pid in members
        ]


def _line(process: psutil.Process) -> str:
    return " ".join(process.info["cmdline"] or ())


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal; False if there is no such process."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
