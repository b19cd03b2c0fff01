"""Remote procedure calls: workers of this machine call the driver's `InMemoryStore`.

Every worker has a connection of its own, and every connection a thread that answers it.
"""

from __future__ import annotations

import pickle
import threading
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from d4py_dynamic.store.memory.table import InMemoryStore
from dispel4py.errors import ServiceError

#: What a worker may call.
_METHODS = frozenset({"take", "adopt", "commit", "status", "positions", "send_event"})


class StoreServer:
    """The driver's side.

    Args:
        table: the table.
    """

    def __init__(self, table: InMemoryStore) -> None:
        self._table = table
        self._lines: list[tuple[int, Connection, Connection]] = []

    def line(self, rank: int) -> Connection:
        """The end of a new connection that a worker is started with."""
        ours, theirs = Pipe()
        self._lines.append((rank, ours, theirs))
        return theirs

    def serve(self) -> None:
        """Answer on all connections that are not answered yet; their workers were started."""
        lines, self._lines = self._lines, []
        for rank, ours, theirs in lines:
            theirs.close()
            threading.Thread(
                target=self._answer, args=(rank, ours), name=f"d4py-answer-{rank}", daemon=True
            ).start()

    def close(self) -> None:
        """Close what was never answered; the others close when their workers are gone."""
        for _, ours, theirs in self._lines:
            ours.close()
            theirs.close()
        self._lines = []

    def _answer(self, rank: int, line: Connection) -> None:
        with line:
            while True:
                try:
                    method, arguments = pickle.loads(line.recv_bytes())
                    if method not in _METHODS:
                        return
                    try:
                        reply = getattr(self._table, method)(rank, *arguments)
                    except ServiceError as error:
                        reply = error
                    line.send_bytes(pickle.dumps(reply, protocol=5))
                except (EOFError, OSError):
                    return


class StoreClient:
    """A worker's side; see `Ask`.

    Args:
        line: the connection.
    """

    def __init__(self, line: Connection) -> None:
        self._line = line

    def __call__(self, method: str, *arguments: Any) -> Any:
        try:
            self._line.send_bytes(pickle.dumps((method, arguments), protocol=5))
            reply = pickle.loads(self._line.recv_bytes())
        except (EOFError, OSError) as error:
            raise ServiceError(f"the driver of this run is gone ({error})") from error
        if isinstance(reply, Exception):
            raise reply
        return reply
