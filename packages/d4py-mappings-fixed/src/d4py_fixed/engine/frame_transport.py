"""`FrameTransport`: how the engine sends and receives frames, and its form for ranks in processes.

Ranks in processes of their own exchange encoded frames by a `Transport`.  Ranks on threads of one
process exchange the frames themselves (`d4py_fixed.threads`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from d4py_fixed.engine.frames import Frame, from_parts, to_parts
from d4py_fixed.engine.transport import Transport
from dispel4py.engine.execution.pickled_items import Keep, copy_buffer
from dispel4py.errors import ItemError


class FrameTransport(Protocol):
    """Carries frames between ranks; see `Transport` for what else holds."""

    @property
    def keep(self) -> Keep | None:
        """Copies a large buffer for a frame to be sent later; None if items are not pickled."""

    def send(self, rank: int, frame: Frame) -> int:
        """Send a frame to a rank; return its size in bytes, 0 if that is not known.

        Raises:
            ItemError: an item cannot be carried.
        """

    def receive(self, seconds: float) -> tuple[int, Frame] | None:
        """Return the next frame and the rank that sent it; None if none arrives in time.

        Raises:
            ItemError: an item cannot be carried into this process.
        """


class EncodedFrames:
    """Carries frames encoded, by a `Transport`.

    Args:
        transport: carries them.
        describe: returns the names of a rank's instances, for messages.
        keep: see `FrameTransport`.

    Attributes:
        keep: see the arguments.
    """

    def __init__(
        self,
        transport: Transport,
        describe: Callable[[int], str],
        keep: Keep = copy_buffer,
    ) -> None:
        self.keep = keep
        self._transport = transport
        self._describe = describe

    def send(self, rank: int, frame: Frame) -> int:
        """See `FrameTransport`."""
        parts = to_parts(frame)
        self._transport.send(rank, parts)
        return sum(map(len, parts))

    def receive(self, seconds: float) -> tuple[int, Frame] | None:
        """See `FrameTransport`."""
        arrived = self._transport.receive(seconds)
        if arrived is None:
            return None
        sender, parts = arrived
        try:
            return sender, from_parts(parts)
        except ItemError as error:
            name = self._describe(sender) or "the driver"
            raise ItemError(f"{error}; sent by {name}") from error
