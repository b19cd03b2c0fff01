"""Forks worker processes for a program that has threads by now: from a process without any.

A zygote is forked before the threads are started, and waits.  What it is sent it hands to children
of its own, with the open files that go along.  They have all that was in memory when the zygote was
forked, and end when it does, which is when the program ends.
"""

from __future__ import annotations

import io
import os
import pickle
import signal
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import (
    connection,
    current_process,
    forkserver,
    get_context,
    popen_forkserver,
    util,
)
from multiprocessing.process import BaseProcess
from typing import Any

from dispel4py.errors import RunError
from dispel4py.processes.start_methods import signals_held_back

#: How long a request is, in front of it.
_LENGTH = struct.Struct("<Q")
#: The most open files that go with a request; the first is where the zygote reports on the child.
_MOST_FILES = 64


class Zygote:
    """The program's side.

    Args:
        target: main function of the processes.
        common: an object that is part of their arguments; it stays where it is.
    """

    def __init__(self, target: Callable[..., None], common: Any) -> None:
        self._common = common
        self._line, theirs = socket.socketpair()
        with signals_held_back():  # for good: it ends when the line is closed, or is killed
            self._pid = os.fork()
            if self._pid == 0:
                try:
                    self._line.close()
                    _serve(theirs, target, common)
                finally:
                    os._exit(0)
        theirs.close()
        _zygotes.append(self)

    def start(self, name: str, arguments: tuple[Any, ...]) -> BaseProcess:
        """Start a process.

        Args:
            name: its name.
            arguments: those of its main function; picklable, connections aside.

        Raises:
            RunError: the zygote is gone.
        """
        file = io.BytesIO()
        pickler = _Pickler(file, self._common)
        pickler.dump((name, arguments))
        process = _Process(self, file.getvalue(), pickler.files, name)
        try:
            process.start()
        except (OSError, EOFError) as error:
            raise RunError(
                f"no other worker can be started: the process that forks them (process"
                f" {self._pid}) is gone"
            ) from error
        return process

    def request(self, data: bytes, files: list[int]) -> tuple[int, int]:
        """Have a process forked; return its number, and a file that tells its end."""
        status, theirs = os.pipe()
        try:
            socket.send_fds(self._line, [_LENGTH.pack(len(data))], [theirs, *files])
            self._line.sendall(data)
        except BaseException:
            os.close(status)
            raise
        finally:
            os.close(theirs)
        try:
            return forkserver.read_signed(status), status
        except BaseException:
            os.close(status)
            raise

    def close(self) -> None:
        """End it, once there are no processes of it."""
        if self in _zygotes:
            _zygotes.remove(self)
            self._line.close()
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    def leave_to_parent(self) -> None:
        """Let go of it in a process that was forked."""
        self._line.close()


#: Those of this process.
_zygotes: list[Zygote] = []


def leave_zygotes_to_parent() -> None:
    """Let go of the zygotes that this process has inherited by a fork."""
    while _zygotes:
        _zygotes.pop().leave_to_parent()


class _Process(BaseProcess):
    """A process of a zygote, as `multiprocessing` sees processes."""

    _start_method = "fork"

    def __init__(self, zygote: Zygote, data: bytes, files: list[int], name: str) -> None:
        super().__init__(name=name, daemon=False)
        self.zygote, self.data, self.files = zygote, data, files

    @staticmethod
    def _Popen(process: _Process) -> _Popen:
        return _Popen(process)


class _Popen(popen_forkserver.Popen):
    """The same as by a fork server, as far as its end is concerned."""

    def _launch(self, process: Any) -> None:
        self.pid, self.sentinel = process.zygote.request(process.data, process.files)
        self.finalizer = util.Finalize(self, os.close, (self.sentinel,))


class _Pickler(pickle.Pickler):
    """Leaves out connections, of which the file numbers are noted, and what is common."""

    def __init__(self, file: io.BytesIO, common: Any) -> None:
        super().__init__(file, protocol=5)
        self._common = common
        self.files: list[int] = []

    def persistent_id(self, value: Any) -> int | None:
        """Return the number of a connection from 1, 0 for what is common."""
        if value is self._common:
            return 0
        if isinstance(value, connection.Connection):
            self.files.append(value.fileno())
            return len(self.files)
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, files: list[int], common: Any) -> None:
        super().__init__(io.BytesIO(data))
        self._files, self._common = files, common

    def persistent_load(self, number: int) -> Any:
        """See `_Pickler.persistent_id`."""
        return connection.Connection(self._files[number - 1]) if number else self._common


def _serve(line: socket.socket, target: Callable[..., None], common: Any) -> None:
    """Fork whatever is asked for, and report how it ends, until nobody can ask any more."""
    children: dict[int, tuple[BaseProcess, int]] = {}
    while True:
        for ready in connection.wait([line, *children]):
            if isinstance(ready, int):
                child, status = children.pop(ready)
                child.join()
                _report(status, child.exitcode or 0)
                os.close(status)
                continue
            message, files, _, _ = socket.recv_fds(line, _LENGTH.size, _MOST_FILES)
            if not message:
                return
            status = files.pop(0)
            data = _received(line, _LENGTH.unpack(message)[0])
            child = get_context("fork").Process(
                target=_begin, args=(line, target, data, files, common), daemon=False
            )
            child.start()
            for file in files:
                os.close(file)
            children[child.sentinel] = child, status
            _report(status, child.pid or 0)


def _begin(
    line: socket.socket, target: Callable[..., None], data: bytes, files: list[int], common: Any
) -> None:
    line.close()
    current_process().name, arguments = _Unpickler(data, files, common).load()
    target(*arguments)


def _report(status: int, number: int) -> None:
    with suppress(OSError):  # nobody wants to know
        forkserver.write_signed(status, number)


def _received(line: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = line.recv(min(length - len(data), 1 << 20))
        if not part:
            break
        data += part
    return bytes(data)
