"""`InputReader`: reads the inputs of a root on a thread, so that a driver never waits for them."""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from typing import Any

from dispel4py.engine.inputs import RootInput, calls
from dispel4py.engine.items.copying import copy_item
from dispel4py.engine.items.sizes import SMALL_BYTES, ByteCounter, size_of
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.planning.plan import PlannedPE
from dispel4py.processes.user_code_thread import UserCodeThread


class InputReader:
    """Reads the calls of one root a little before they are used.

    Args:
        root: the root.
        given: the inputs of the root.
        limits: how far to read ahead.

    Attributes:
        ended: all calls were taken.
    """

    def __init__(
        self, root: PlannedPE, given: RootInput, limits: EngineLimits = EngineLimits()
    ) -> None:
        self.ended = False
        self._max_items, self._max_bytes = limits.read_ahead_items, limits.read_ahead_bytes
        self._counter = ByteCounter()
        self._calls = calls(root, given, partial(copy_item, counter=self._counter))
        self._changed = threading.Condition()
        self._ahead: deque[tuple[dict[str, Any], int]] = deque()
        self._bytes = 0
        self._exhausted = self._stopped = False
        self._error: BaseException | None = None
        self._thread = UserCodeThread(target=self._read, name=f"d4py-{root.id}", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading, without waiting for a `next()` of the iterable that blocks."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._exhausted and self._thread.is_alive():  # it ends at once
            self._thread.join()

    def take(self, seconds: float, most: int = 512) -> list[dict[str, Any]]:
        """Return calls that were read; wait for some if there are none.

        Args:
            seconds: longest wait.
            most: most calls to return.

        Raises:
            Exception: the iterable has raised.
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
                    self._changed.wait_for(self._may_continue)
                    if self._stopped:
                        return
                    self._ahead.append((call, size))
                    self._bytes += size
                    self._changed.notify_all()
        except BaseException as error:  # raised by `take`
            self._error = error
        with self._changed:
            self._exhausted = True
            self._changed.notify_all()

    def _may_continue(self) -> bool:
        has_room = len(self._ahead) < self._max_items and self._bytes < self._max_bytes
        return self._stopped or has_room


def is_in_memory(value: RootInput, limits: EngineLimits = EngineLimits()) -> bool:
    """Return whether inputs need no `InputReader`: they are in memory, and few and small."""
    if isinstance(value, int):
        return True
    if not isinstance(value, list | tuple) or len(value) > limits.read_ahead_items:
        return False
    size = 0
    for call in value:
        size += size_of(call)
        if size > limits.read_ahead_bytes:
            return False
    return True
