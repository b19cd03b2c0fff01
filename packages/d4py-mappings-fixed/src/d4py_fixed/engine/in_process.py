"""`Transport` between threads of one process.

Shows the contract at its plainest, and lets the worker loop be tested without processes.
"""

from __future__ import annotations

import queue

from d4py_fixed.engine.transport import MessageParts


class InProcessTransport:
    """See `Transport`.

    Args:
        rank: number of this rank.
        inboxes: what arrives, by rank; all ranks share this dict.

    >>> zero, one = InProcessTransport.connected(2)
    >>> zero.send(1, [b"hello"])
    >>> one.receive(1.0)
    (0, [bytearray(b'hello')])
    """

    def __init__(
        self, rank: int, inboxes: dict[int, queue.SimpleQueue[tuple[int, MessageParts]]]
    ) -> None:
        self._rank = rank
        self._inboxes = inboxes
        self._arrived = inboxes.setdefault(rank, queue.SimpleQueue())

    @classmethod
    def connected(cls, ranks: int) -> list[InProcessTransport]:
        """So many ranks that can all send to each other."""
        inboxes: dict[int, queue.SimpleQueue[tuple[int, MessageParts]]] = {}
        return [cls(rank, inboxes) for rank in range(ranks)]

    def send(self, rank: int, parts: MessageParts) -> None:
        inbox = self._inboxes.get(rank)
        if inbox is not None:
            inbox.put((self._rank, [bytearray(part) for part in parts]))

    def receive(self, seconds: float) -> tuple[int, MessageParts] | None:
        try:
            return self._arrived.get(timeout=seconds) if seconds else self._arrived.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        self._inboxes.pop(self._rank, None)
