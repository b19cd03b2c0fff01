"""Forks worker processes for a program that has threads by now, from a process without any.

The zygote is forked before the program starts threads, and waits for requests.  It forks a child
for each and passes on the request's arguments and open files.  The children have all that was in
memory when the zygote was forked, and end when it ends, which is when the program ends.
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
    context,
    current_process,
    forkserver,
    get_context,
    popen_forkserver,
    util,
)
from multiprocessing.process import BaseProcess
from typing import Any, cast

from dispel4py.errors import RunError
from dispel4py.stop_signals import stop_signals_blocked

#: Length of a request, sent before it.
_LENGTH = struct.Struct("<Q")
#: Most open files of a request; to the first the zygote writes the child's pid and exit code.
_MOST_FILES = 64
#: Kinds of what a request refers to.
_COMMON, _CONNECTION, _FILE = "common", "connection", "file"


class Zygote:
    """The program's connection to a zygote.

    Args:
        target: main function of the processes.
        common: an object that is part of their arguments, and is inherited, not copied.
    """

    def __init__(self, target: Callable[..., None], common: Any) -> None:
        self._common = common
        self._connection, theirs = socket.socketpair()
        with stop_signals_blocked():  # in the zygote for good, which ends with the connection
            self._pid = os.fork()
            if self._pid == 0:
                try:
                    self._connection.close()
                    _serve(theirs, target, common)
                finally:
                    os._exit(0)
        theirs.close()
        _zygotes.append(self)

    def start(self, name: str, arguments: tuple[Any, ...]) -> BaseProcess:
        """Start a process.

        Args:
            name: its name.
            arguments: those of its main function; picklable, connections and open files that
                `multiprocessing.reduction.DupFd` sends aside.

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
                f"cannot start another worker: the process that forks workers (process"
                f" {self._pid}) is gone"
            ) from error
        return process

    def request(self, data: bytes, files: list[int]) -> tuple[int, int]:
        """Have a process forked; return its pid, and a file that its exit code is read from."""
        status, theirs = os.pipe()
        try:
            socket.send_fds(self._connection, [_LENGTH.pack(len(data))], [theirs, *files])
            self._connection.sendall(data)
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
        """End the zygote, once there are no processes of it."""
        if self in _zygotes:
            _zygotes.remove(self)
            self._connection.close()
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    def leave_to_parent(self) -> None:
        """Close the connection in a process that was forked."""
        self._connection.close()


#: The zygotes of this process.
_zygotes: list[Zygote] = []


def leave_zygotes_to_parent() -> None:
    """Close the connections to zygotes that this process has inherited by a fork."""
    while _zygotes:
        _zygotes.pop().leave_to_parent()


class _Process(BaseProcess):
    """A process of a zygote, with the interface of `multiprocessing`."""

    _start_method = "fork"

    def __init__(self, zygote: Zygote, data: bytes, files: list[int], name: str) -> None:
        super().__init__(name=name, daemon=False)
        self.zygote, self.data, self.files = zygote, data, files

    @staticmethod
    def _Popen(process: _Process) -> _Popen:
        return _Popen(process)


class _Popen(popen_forkserver.Popen):
    """A process that is waited for as one of a fork server."""

    def _launch(self, process: Any) -> None:
        self.pid, self.sentinel = process.zygote.request(process.data, process.files)
        self.finalizer = util.Finalize(self, os.close, (self.sentinel,))


class _SentFile:
    """An open file of a request; what `reduction.DupFd` returns while the request is pickled."""

    def __init__(self, number: int) -> None:
        self.number = number

    def detach(self) -> int:
        """Return the file descriptor in the process that got the request."""
        return self.number


class _Pickler(pickle.Pickler):
    """Replaces connections and open files by numbers, and omits the common object."""

    DupFd = _SentFile

    def __init__(self, file: io.BytesIO, common: Any) -> None:
        super().__init__(file, protocol=5)
        self._common = common
        self.files: list[int] = []

    def dump(self, value: Any) -> None:
        """Pickle a request; `reduction.DupFd` sends its files along, not through a thread."""
        context.set_spawning_popen(cast("Any", self))
        try:
            super().dump(value)
        finally:
            context.set_spawning_popen(None)

    def duplicate_for_child(self, file: int) -> int:
        """Send an open file along, and return its number, from 1."""
        self.files.append(file)
        return len(self.files)

    def persistent_id(self, value: Any) -> tuple[str, int] | None:
        """Return the kind and the number of what is not pickled."""
        if value is self._common:
            return _COMMON, 0
        if isinstance(value, connection.Connection):
            return _CONNECTION, self.duplicate_for_child(value.fileno())
        if isinstance(value, _SentFile):
            return _FILE, value.number
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, files: list[int], common: Any) -> None:
        super().__init__(io.BytesIO(data))
        self._files, self._common = files, common

    def persistent_load(self, what: tuple[str, int]) -> Any:
        """See `_Pickler.persistent_id`."""
        kind, number = what
        if kind == _COMMON:
            return self._common
        file = self._files[number - 1]
        return connection.Connection(file) if kind == _CONNECTION else _SentFile(file)


def _serve(requests: socket.socket, target: Callable[..., None], common: Any) -> None:
    """Fork a child for each request and report how it ends, until the connection is closed."""
    children: dict[int, tuple[BaseProcess, int]] = {}
    while True:
        for ready in connection.wait([requests, *children]):
            if isinstance(ready, int):
                child, status = children.pop(ready)
                child.join()
                _report(status, child.exitcode or 0)
                os.close(status)
                continue
            message, files, _, _ = socket.recv_fds(requests, _LENGTH.size, _MOST_FILES)
            if not message:
                return
            status = files.pop(0)
            data = _received(requests, _LENGTH.unpack(message)[0])
            child = get_context("fork").Process(
                target=_begin, args=(requests, target, data, files, common), daemon=False
            )
            child.start()
            for file in files:
                os.close(file)
            children[child.sentinel] = child, status
            _report(status, child.pid or 0)


def _begin(
    requests: socket.socket, target: Callable[..., None], data: bytes, files: list[int], common: Any
) -> None:
    requests.close()
    current_process().name, arguments = _Unpickler(data, files, common).load()
    target(*arguments)


def _report(status: int, number: int) -> None:
    with suppress(OSError):  # the program is gone
        forkserver.write_signed(status, number)


def _received(requests: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = requests.recv(min(length - len(data), 1 << 20))
        if not part:
            break
        data += part
    return bytes(data)
