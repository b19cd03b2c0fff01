"""`Transport`: the interface between the engine and sockets, ZeroMQ or MPI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

#: An encoded frame: its pickle, then the large buffers that belong to it.
MessageParts = Sequence[bytes | bytearray | memoryview]

#: Buffers of at least this many bytes are not copied into a pickle or into a message of small
#: parts, and go through shared memory where there is some.  All ranks of a run have to agree on it.
LARGE_BYTES = 1 << 15


class Transport(Protocol):
    """Carries encoded frames between ranks.

    - Frames from one rank to another arrive whole, once, and in order.
    - `send` may block for as long as the receiver does not read, but the transport goes on
      receiving meanwhile, so two ranks that send to each other never block each other.  The engine
      bounds how much is in flight, by a limit per receiving instance.
    - The parts may be reused when `send` returns.  Received parts are writable and belong to the
      receiver.
    - A transport is used by one thread at a time, but not always by the same one.
    - A frame to a rank that has ended is dropped silently: the process that started the rank
      reports why it ended.
    """

    def send(self, rank: int, parts: MessageParts) -> None:
        """Send a frame to a rank."""

    def receive(self, seconds: float) -> tuple[int, MessageParts] | None:
        """Return the next frame and the rank that sent it; None if none arrives in time.

        With 0 seconds, what has arrived just now may be left to the next call.
        """

    def close(self) -> None:
        """Release all resources; may be called twice."""
