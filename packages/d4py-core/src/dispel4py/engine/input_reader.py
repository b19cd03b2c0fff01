"""Reads an iterable of calls for a root on a thread, so that one that blocks blocks nobody else."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Any

from dispel4py.engine.copying import copy_item
from dispel4py.engine.inputs import RootInput, calls
from dispel4py.engine.plan import PlannedPE
from dispel4py.engine.sizes import SMALL_BYTES, ByteCounter, size_of

#: How many calls may be read and not taken, and about how many bytes they may be.
_MOST_AHEAD, _MOST_BYTES = 1024, 1 << 20


class InputReader:
    """The calls of one root, read a little ahead of their use.

    Args:
        root: the root.
        given: its inputs.

    Attributes:
        ended: everything was taken.
    """

    def __init__(self, root: PlannedPE, given: RootInput) -> None:
        self.ended = False
        self._counter = ByteCounter()
        self._calls = calls(root, given, partial(copy_item, counter=self._counter))
        self._changed = threading.Condition()
        self._ahead: deque[tuple[dict[str, Any], int]] = deque()
        self._bytes = 0
        self._exhausted = self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name=f"d4py-{root.id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Read nothing more.  A `next()` of the caller's that blocks is left alone."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def take(self, seconds: float, most: int = 512) -> list[dict[str, Any]]:
        """What was read, up to a number; waits for something for so long.

        Raises:
            Exception: whatever the iterable raised.
        """
        taken: list[dict[str, Any]] = []
        with self._changed:
            self._changed.wait_for(lambda: self._ahead or self._exhausted, seconds)
            while self._ahead and len(taken) < most:
                call, size = self._ahead.popleft()
                self._bytes -= size
                taken.append(call)
            self._changed.notify_all()
            if self._exhausted and not self._ahead:
                if self._error is None:
                    self.ended = True
                elif not taken:
                    raise self._error
        return taken

    def _read(self) -> None:
        try:
            for call in self._calls:
                size = SMALL_BYTES + self._counter.bytes
                self._counter.bytes = 0
                with self._changed:
                    self._changed.wait_for(self._may_go_on)
                    if self._stopped:
                        return
                    self._ahead.append((call, size))
                    self._bytes += size
                    self._changed.notify_all()
        except BaseException as error:  # raised where it is taken
            self._error = error
        with self._changed:
            self._exhausted = True
            self._changed.notify_all()

    def _may_go_on(self) -> bool:
        return self._stopped or (len(self._ahead) < _MOST_AHEAD and self._bytes < _MOST_BYTES)


def is_in_memory(value: RootInput) -> bool:
    """The inputs can be handed over at once; anything else wants a `InputReader`."""
    return isinstance(value, int) or (
        isinstance(value, list | tuple) and len(value) <= _MOST_AHEAD and _fit(value)
    )


def _fit(values: Iterable[Any]) -> bool:
    """Return whether they take no more than `_MOST_BYTES`; look no further than that."""
    size = 0
    for value in values:
        size += size_of(value)
        if size > _MOST_BYTES:
            return False
    return True
