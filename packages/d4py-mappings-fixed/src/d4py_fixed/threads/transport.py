"""`ThreadTransport`: frames between threads of one process, handed over as they are."""

from __future__ import annotations

from collections.abc import Sequence
from queue import Empty, SimpleQueue

from d4py_fixed.engine.frames import Frame, Items
from dispel4py.engine.items.sizes import estimate_bytes
from dispel4py.exceptions.unwinding import Unwind

#: The frames for one rank, each with the rank that sent it; None stops the rank.
Inbox = SimpleQueue[tuple[int, Frame] | None]


class StoppedError(Unwind):
    """The run has ended for a reason that is reported elsewhere."""


class ThreadTransport:
    """Carries the frames of one rank; see `d4py_fixed.engine.frame_transport.FrameTransport`.

    Nothing is copied: an executor sends nothing that a PE may still change.

    Args:
        inboxes: of all ranks and the driver, by number.
        rank: number of the rank.

    Attributes:
        keep: see `FrameTransport`.
    """

    keep = None

    def __init__(self, inboxes: Sequence[Inbox], rank: int) -> None:
        self._inboxes = inboxes
        self._rank = rank
        self._inbox = inboxes[rank]

    def send(self, rank: int, frame: Frame) -> int:
        """See `FrameTransport`."""
        size = estimate_bytes(frame.items) if isinstance(frame, Items) else 0
        self._inboxes[rank].put((self._rank, frame))  # from here on it is the receiver's
        return size

    def receive(self, seconds: float) -> tuple[int, Frame] | None:
        """See `FrameTransport`.

        Raises:
            StoppedError: the run has ended.
        """
        try:
            arrived = self._inbox.get(timeout=seconds) if seconds else self._inbox.get_nowait()
        except Empty:
            return None
        if arrived is None:
            self._inbox.put(None)  # for other threads that act for this rank
            raise StoppedError
        return arrived
