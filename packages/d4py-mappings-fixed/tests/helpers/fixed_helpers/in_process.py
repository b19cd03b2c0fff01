"""A `Transport` between threads of one process: the contract in its simplest form."""

from __future__ import annotations

import queue

from d4py_fixed.engine.transport import MessageParts

_Inbox = queue.SimpleQueue[tuple[int, MessageParts]]


class InProcessTransport:
    """See `Transport`.

    Args:
        rank: number of this rank.
        inboxes: received frames, by rank; all ranks share this dict.

    >>> zero, one = InProcessTransport.connected(2)
    >>> zero.send(1, [b"hello"])
    >>> one.receive(1.0)
    (0, [bytearray(b'hello')])
    """

    def __init__(self, rank: int, inboxes: dict[int, _Inbox]) -> None:
        self._rank = rank
        self._inboxes = inboxes
        self._inbox = inboxes.setdefault(rank, queue.SimpleQueue())

    @classmethod
    def connected(cls, ranks: int) -> list[InProcessTransport]:
        """Return transports of this many ranks, all connected to each other."""
        inboxes: dict[int, _Inbox] = {}
        return [cls(rank, inboxes) for rank in range(ranks)]

    def send(self, rank: int, parts: MessageParts) -> None:
        inbox = self._inboxes.get(rank)
        if inbox is not None:
            inbox.put((self._rank, [bytearray(part) for part in parts]))

    def receive(self, seconds: float) -> tuple[int, MessageParts] | None:
        try:
            return self._inbox.get(timeout=seconds) if seconds else self._inbox.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        self._inboxes.pop(self._rank, None)
