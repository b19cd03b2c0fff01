"""Reads an iterable of calls for a root on a thread, so that one that blocks blocks nobody else."""

from __future__ import annotations

import queue
import threading
from typing import Any

from dispel4py.inputs import RootInput, calls
from dispel4py.plan import PlannedPE

_END = object()


class Reader:
    """The calls of one root, read ahead of their use by a limited number.

    Args:
        root: the root.
        given: its inputs.
        ahead: how many calls may be read and not taken.

    Attributes:
        ended: everything was taken.
    """

    def __init__(self, root: PlannedPE, given: RootInput, ahead: int = 1024) -> None:
        self.ended = False
        self._calls = calls(root, given)
        self._queue: queue.Queue[Any] = queue.Queue(ahead)
        self._error: BaseException | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._read, name=f"d4py-{root.id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Read nothing more.  A `next()` of the caller's that blocks is left alone."""
        self._stopped = True
        while not self._queue.empty():  # a thread that waits for room sees that it is over
            self._queue.get_nowait()

    def take(self, seconds: float, most: int = 512) -> list[dict[str, Any]]:
        """What was read, up to a number; waits for something for so long.

        Raises:
            Exception: whatever the iterable raised.
        """
        taken: list[Any] = []
        try:
            taken.append(self._queue.get(timeout=seconds) if seconds else self._queue.get_nowait())
            while len(taken) < most and taken[-1] is not _END:
                taken.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        if taken and taken[-1] is _END:
            taken.pop()
            if self._error is not None:
                raise self._error
            self.ended = True
        return taken

    def _read(self) -> None:
        try:
            for call in self._calls:
                self._queue.put(call)
                if self._stopped:
                    return
        except BaseException as error:  # raised where it is taken
            self._error = error
        self._queue.put(_END)


def at_hand(value: RootInput) -> bool:
    """The inputs can be handed over at once; anything else wants a `Reader`."""
    return isinstance(value, int) or (isinstance(value, list | tuple) and len(value) <= 1024)
