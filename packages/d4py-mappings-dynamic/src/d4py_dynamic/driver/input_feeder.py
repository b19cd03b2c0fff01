"""Feeds a root whose inputs are an iterable.

Calls travel in batches while the root is busy, and at once while it is idle.
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
from dispel4py.engine.plan import PlannedPE


class InputFeeder:
    """Puts the calls of one root into the store.

    Args:
        root: the root.
        given: its inputs.
        make_store: makes a connection that only the feeder uses.
        fed: how many calls of it were put by another driver.
        limits: how many tasks may be queued for the root, or for all workers where they share its
            calls, and how often that is asked.

    Attributes:
        done: everything was put.
        error: what the iterable raised.
    """

    def __init__(
        self,
        root: PlannedPE,
        given: RootInput,
        make_store: Callable[[], RunStore],
        fed: int = 0,
        limits: DriverLimits = DriverLimits(),
    ) -> None:
        self._limits = limits
        self.root = root.index
        self._is_pinned = is_pinned(root)
        self.done = False
        self.error: BaseException | None = None
        self._fed = fed
        self._reader = InputReader(root, islice(calls(root, given), fed, None) if fed else given)
        self._make_store = make_store
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._put, name=f"d4py-put-{root.id}", daemon=True)

    def start(self) -> None:
        self._reader.start()
        self._thread.start()

    def stop(self) -> None:
        """Put nothing more."""
        self._stopped.set()
        self._reader.stop()
        if self._thread.is_alive():
            self._thread.join()

    def _put(self) -> None:
        try:
            store = self._make_store()
            while not self._stopped.is_set() and not self._reader.ended:
                batch = self._reader.take(0.1)
                while batch and self._is_far_ahead(store):
                    if self._stopped.wait(self._limits.feed_poll_seconds):
                        return
                if batch:
                    tasks = self._tasks(store, batch)
                    self._fed += len(batch)
                    store.put(tasks, offset=InputOffset(self.root, self._fed, False))
            if self._reader.ended:
                store.put([], offset=InputOffset(self.root, self._fed, True))
                self.done = True
        except BaseException as error:  # raised where the driver looks
            self.error = error

    def _is_far_ahead(self, store: RunStore) -> bool:
        waiting = store.waiting(self.root, 0) if self._is_pinned else store.load().backlog
        return waiting >= self._limits.queued_tasks

    def _tasks(self, store: RunStore, batch: list[dict[str, Any]]) -> list[Task]:
        if self._is_pinned:
            return [Task(CALLS, self.root, 0, None, batch)]
        shared = pieces(CallRange(self._fed, batch), len(store.load().idle))
        return [Task(CALLS, self.root, ANY, None, piece) for piece in shared]
