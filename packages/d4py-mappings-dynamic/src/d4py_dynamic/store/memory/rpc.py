"""Remote procedure calls: workers of this machine call the driver's `InMemoryStore`.

Every worker has a connection of its own, and every connection a thread that answers its calls.
"""

from __future__ import annotations

import pickle
import threading
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from d4py_dynamic.store.memory.store import InMemoryStore
from dispel4py.errors import ServiceError

#: Methods that a worker may call.
_METHODS = frozenset({"take", "adopt", "commit", "status", "positions", "send_event"})


class StoreServer:
    """The driver's side.

    Args:
        store: the store.
    """

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store
        self._new: list[tuple[int, Connection, Connection]] = []

    def connect(self, rank: int) -> Connection:
        """Return a worker's end of a new connection, to start the worker with."""
        ours, theirs = Pipe()
        self._new.append((rank, ours, theirs))
        return theirs

    def serve(self) -> None:
        """Answer calls on all new connections; their workers were started."""
        new, self._new = self._new, []
        for rank, ours, theirs in new:
            theirs.close()
            threading.Thread(
                target=self._answer, args=(rank, ours), name=f"d4py-answer-{rank}", daemon=True
            ).start()

    def close(self) -> None:
        """Close new connections; the others close when their workers have ended."""
        for _, ours, theirs in self._new:
            ours.close()
            theirs.close()
        self._new = []

    def _answer(self, rank: int, connection: Connection) -> None:
        with connection:
            while True:
                try:
                    method, arguments = pickle.loads(connection.recv_bytes())
                    if method not in _METHODS:
                        return
                    try:
                        reply = getattr(self._store, method)(rank, *arguments)
                    except ServiceError as error:
                        reply = error
                    connection.send_bytes(pickle.dumps(reply, protocol=5))
                except (EOFError, OSError):
                    return


class StoreClient:
    """A worker's side; see `StoreCall`.

    Args:
        connection: the worker's end of a connection.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, method: str, *arguments: Any) -> Any:
        try:
            self._connection.send_bytes(pickle.dumps((method, arguments), protocol=5))
            reply = pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise ServiceError(f"the driver of this run is gone ({error})") from error
        if isinstance(reply, Exception):
            raise reply
        return reply
