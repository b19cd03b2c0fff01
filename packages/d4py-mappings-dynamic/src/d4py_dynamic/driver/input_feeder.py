"""Feeds a root whose inputs are an iterable.

Calls are queued in batches: a batch grows while the root is busy, and is queued at once while the
root is idle.  The store says when a queue is full, and when there is room in it again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import islice
from typing import Any

from d4py_dynamic.driver.limits import DriverLimits
from d4py_dynamic.store.protocols import InputOffset, RunStore
from d4py_dynamic.store.tasks import ANY, CALLS, Task, is_pinned
from d4py_dynamic.worker.outbox import pieces
from dispel4py.engine.input_reader import InputReader
from dispel4py.engine.inputs import CallRange, RootInput, calls
from dispel4py.engine.planning.plan import PlannedPE

#: Longest wait of the feeder's thread, for the iterable or for room, before it checks whether to
#: stop.
_WAIT_SECONDS = 0.1


class InputFeeder:
    """Puts the calls of one root into the store.

    Args:
        root: the root.
        given: its inputs.
        open_store: opens a connection to the store that only the feeder uses.
        fed: number of calls that another driver has put.
        limits: how many tasks may be queued for the root, or for all workers where they share its
            calls.

    Attributes:
        done: everything was put.
        error: what the iterable raised.
    """

    def __init__(
        self,
        root: PlannedPE,
        given: RootInput,
        open_store: Callable[[], RunStore],
        fed: int = 0,
        limits: DriverLimits = DriverLimits(),
    ) -> None:
        self.root = root.index
        self._is_pinned = is_pinned(root)
        self.done = False
        self.error: BaseException | None = None
        self._fed = fed
        self._limits = limits
        self._reader = InputReader(root, islice(calls(root, given), fed, None) if fed else given)
        self._open_store = open_store
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"d4py-put-{root.id}", daemon=True)

    def start(self) -> None:
        """Start to read and to put calls, each on a thread."""
        self._reader.start()
        self._thread.start()

    def stop(self) -> None:
        """Put no more calls; a call of the iterable that blocks is left alone."""
        self._stopped.set()
        self._reader.stop()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            self._feed(self._open_store())
        except BaseException as error:  # raised by the driver
            self.error = error

    def _feed(self, store: RunStore) -> None:
        is_full = False
        while not self._stopped.is_set() and not self._reader.ended:
            if is_full:
                is_full = not store.wait_for_room(self.root, _WAIT_SECONDS)
            elif batch := self._reader.take(_WAIT_SECONDS):
                is_full = self._put(store, batch)
        if self._reader.ended:
            self._put(store, [], ended=True)
            self.done = True

    def _put(self, store: RunStore, batch: list[dict[str, Any]], *, ended: bool = False) -> bool:
        """Queue a batch of calls; return whether the queue is full now."""
        tasks = self._tasks(store, batch)
        self._fed += len(batch)
        offset = InputOffset(self.root, self._fed, ended)
        return store.feed(tasks, offset, self._limits.queued_tasks)

    def _tasks(self, store: RunStore, batch: list[dict[str, Any]]) -> list[Task]:
        """Return the tasks of a batch; where workers share the calls, some for each idle worker."""
        if not batch:
            return []
        if self._is_pinned:
            return [Task(CALLS, self.root, 0, None, batch)]
        idle = len(store.load().idle) if len(batch) > 1 else 0
        shared = pieces(CallRange(self._fed, batch), idle)
        return [Task(CALLS, self.root, ANY, None, piece) for piece in shared]
