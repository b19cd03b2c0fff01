"""`Transport`: all that the worker loop needs of pipes, sockets or MPI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

#: A frame on its way: its pickle, then the large buffers that belong to it.
MessageParts = Sequence[bytes | bytearray | memoryview]


class Transport(Protocol):
    """Carries frames between ranks, as bytes.

    - Frames from one rank to another arrive whole, once, and in order.
    - `send` may take as long as the receiver does, but a transport keeps taking in what arrives
      meanwhile, so two ranks that send to each other never block each other.  How much may be on
      its way is the loop's business, which stops at a limit per receiving instance.
    - The parts may be used again when `send` returns.  Received parts can be written to, and are
      the receiver's own.
    - It is used by one thread at a time, but not always by the same one.
    - What is sent to a rank that has ended is dropped without a word: whoever started the rank
      knows why it ended.
    """

    def send(self, rank: int, parts: MessageParts) -> None:
        """Send a frame to a rank."""

    def receive(self, seconds: float) -> tuple[int, MessageParts] | None:
        """The next frame and the rank it comes from; None if there is none for so long."""

    def close(self) -> None:
        """Let go of everything."""
