"""The messages that a worker process sends to the pool in its parent, and how they are read.

A worker reports that it has begun, perhaps the threads that it waits for at its end, and last that
it is done or an error.
"""

from __future__ import annotations

import pickle
import select
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection

from dispel4py.errors import D4pyError, RunError
from dispel4py.exceptions.shortages import shortage

_BEGUN = b"begun"
_DONE = b""
#: Begins a message with the names of the threads that still run.
_FINISHING = b"finishing "


class ReportWriter:
    """The worker's side.

    Args:
        file: the connection to the parent.
    """

    def __init__(self, file: connection.Connection) -> None:
        self._file = file

    def begun(self) -> None:
        """Report that the worker has begun."""
        self._file.send_bytes(_BEGUN)

    def finishing(self, threads: list[str]) -> None:
        """Report that the work is done, but that threads still run."""
        self._file.send_bytes(_FINISHING + pickle.dumps(threads))

    def done(self) -> None:
        """Report that the worker is done."""
        self._file.send_bytes(_DONE)

    def failed(self, error: BaseException) -> None:
        """Report an error, and nothing after it."""
        with suppress(OSError):  # the parent is gone
            self._file.send_bytes(picklable_error(error))
        self._file.close()


class ReportReader:
    """The parent's side.

    Args:
        file: the connection to the worker.
        on_begun: called when the worker has begun.

    Attributes:
        threads: names of the threads that a worker waits for at its end; None before that.
        is_complete: the last message was read.
    """

    def __init__(self, file: connection.Connection, on_begun: Callable[[], None]) -> None:
        self._file = file
        self._arrived = select.poll()  # `Connection.poll` makes a selector each time
        self._arrived.register(file, select.POLLIN)
        self._on_begun = on_begun
        self.threads: list[str] | None = None
        self.is_complete = False

    def read(self) -> D4pyError | None:
        """Read the messages that have arrived; return the worker's error, if it reports one."""
        message = self._receive()
        if message == _BEGUN:
            self._on_begun()
            message = self._receive()
        if message is not None and message.startswith(_FINISHING):
            self.threads = pickle.loads(message.removeprefix(_FINISHING))
            message = self._receive()
        if message is None:
            return None
        self.is_complete = True
        error: D4pyError | None = pickle.loads(message) if message != _DONE else None
        return error

    def close(self) -> None:
        """Close the connection."""
        self._file.close()

    def _receive(self) -> bytes | None:
        """Return the next message, if one has arrived."""
        try:
            return self._file.recv_bytes() if self._arrived.poll(0) else None
        except (EOFError, OSError):  # the worker has exited, perhaps while it sent a message
            return None


def picklable_error(error: BaseException) -> bytes:
    """Return an error in pickled form, as one that the parent can raise."""
    if not isinstance(error, D4pyError):
        if (refused := shortage(error)) is not None:
            error = RunError(f"a worker failed: {refused}")
        else:
            text = "".join(traceback.format_exception(error))
            error = RunError(f"a worker failed in d4py's own code; please report this:\n{text}")
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:  # an author's own subclass may not be picklable
        data = pickle.dumps(RunError(str(error)))
    return data
