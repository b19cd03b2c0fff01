"""What the ranks of an MPI run report to the driver."""

from __future__ import annotations

import pickle
from collections import deque

from d4py_fixed.engine.transport import MessageParts
from d4py_fixed.mpi.control_channel import ControlChannels, Kind
from dispel4py.errors import RunError


class RankReports:
    """Receives the messages of the ranks, and sorts them by kind.

    Args:
        channels: of the driver.

    Attributes:
        frames: frames of the run that the engine has not received yet.
        threads: rank that has left MPI → the names of the threads after which it ends.
    """

    def __init__(self, channels: ControlChannels) -> None:
        self._channels = channels
        #: Rank in the run → None, or the pickled error of the end of its part, or empty bytes.
        self._endings: dict[int, bytes | None] = {}
        self.frames: deque[tuple[int, MessageParts]] = deque()
        self.threads: dict[int, list[str]] = {}

    def begin_run(self, ranks: int) -> None:
        """Note that a run begins on the first ranks."""
        self._endings = dict.fromkeys(range(ranks))

    def running(self) -> list[int]:
        """Return the ranks whose part of the run has not ended."""
        return [rank for rank, ending in self._endings.items() if ending is None]

    def lost(self) -> list[int]:
        """Return the ranks that have ended before their part of the run, in that order."""
        disconnected = self._channels.disconnected
        return [rank for rank in disconnected if self._endings.get(rank, b"") is None]

    def receive(self, seconds: float) -> None:
        """Receive all messages that have arrived; wait for one for up to `seconds`."""
        message = self._channels.receive(seconds)
        while message is not None:
            if message.kind == Kind.RUN_ENDED:
                self._endings[message.peer] = bytes(message.parts[0])
            elif message.kind == Kind.THREADS:
                self.threads[message.peer] = pickle.loads(message.parts[0])
            else:
                self.frames.append((message.peer, message.parts))
            message = self._channels.receive(0.0)

    def raise_error(self) -> None:
        """Raise the error that a rank has reported, if there is one.

        Raises:
            RunError: a rank has reported it.
        """
        for ending in self._endings.values():
            if ending:
                error: RunError = pickle.loads(ending)
                raise error
