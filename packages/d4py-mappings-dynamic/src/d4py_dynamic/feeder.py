"""Feeds a root whose inputs are an iterable: reads it lazily, and no faster than it is used up.

The iterable is the caller's own code and may block, so one thread reads it while another hands on
what is there: calls travel in batches while the root is busy and at once while it is idle.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from d4py_dynamic.store import RunStore
from d4py_dynamic.tasks import CALLS, Task
from dispel4py.inputs import RootInput, calls
from dispel4py.plan import PlannedPE

_CHUNK = 512
#: Tasks that may wait for the root.
_AHEAD = 4
_PAUSE_SECONDS = 0.002
_END = object()


class Feeder:
    """Puts the calls of one root into the store.

    Args:
        root: the root.
        given: its inputs.
        make_store: makes a connection that only the feeder uses.

    Attributes:
        done: everything was put.
        error: what the iterable raised.
    """

    def __init__(
        self, root: PlannedPE, given: RootInput, make_store: Callable[[], RunStore]
    ) -> None:
        self.root = root.index
        self.done = False
        self.error: BaseException | None = None
        self._calls = calls(root, given)
        self._make_store = make_store
        self._queue: queue.Queue[Any] = queue.Queue(_CHUNK)
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=target, name=f"d4py-{root.id}", daemon=True)
            for target in (self._read, self._put)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Put nothing more.  A `next()` of the caller's that blocks is left alone."""
        self._stopped.set()
        self._threads[1].join()

    def _read(self) -> None:
        try:
            for call in self._calls:
                self._queue.put(call)
                if self._stopped.is_set():
                    return
        except BaseException as error:  # raised where the driver looks
            self.error = error
        else:
            self._queue.put(_END)

    def _put(self) -> None:
        try:
            store = self._make_store()
            while not self._stopped.is_set() and not self.done:
                batch = self._next_batch()
                last = bool(batch) and batch[-1] is _END
                if last:
                    batch.pop()
                while batch and store.waiting(self.root, 0) >= _AHEAD:
                    if self._stopped.wait(_PAUSE_SECONDS):
                        return
                if batch:
                    store.put([Task(CALLS, self.root, 0, None, batch)])
                self.done = last
        except BaseException as error:
            self.error = error

    def _next_batch(self) -> list[Any]:
        """What is in the queue, at least one element unless there is none for a while."""
        batch: list[Any] = []
        try:
            batch.append(self._queue.get(timeout=0.1))
            while len(batch) < _CHUNK and batch[-1] is not _END:
                batch.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return batch
