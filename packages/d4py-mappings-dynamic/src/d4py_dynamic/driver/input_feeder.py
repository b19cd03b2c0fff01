"""Feeds a root whose inputs are an iterable.

Calls are queued in batches: a batch grows while the root is busy, and is queued at once while the
root is idle.  The store has no event for a queue that has become shorter, so the feeder polls the
length of a full queue.
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

#: Longest wait of the feeder's thread for the iterable, before it checks whether to stop.
_READ_SECONDS = 0.1


class InputFeeder:
    """Puts the calls of one root into the store.

    Args:
        root: the root.
        given: its inputs.
        open_store: opens a connection to the store that only the feeder uses.
        fed: number of calls that another driver has put.
        limits: how many tasks may be queued for the root, or for all workers where they share its
            calls, and how often their number is polled.

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
        while not self._stopped.is_set() and not self._reader.ended:
            batch = self._reader.take(_READ_SECONDS)
            if not batch:
                continue
            while self._is_queue_full(store):
                if self._stopped.wait(self._limits.feed_poll_seconds):
                    return
            tasks = self._tasks(store, batch)
            self._fed += len(batch)
            store.put(tasks, offset=InputOffset(self.root, self._fed, False))
        if self._reader.ended:
            store.put([], offset=InputOffset(self.root, self._fed, True))
            self.done = True

    def _is_queue_full(self, store: RunStore) -> bool:
        queued = store.queue_length(self.root, 0) if self._is_pinned else store.load().backlog
        return queued >= self._limits.queued_tasks

    def _tasks(self, store: RunStore, batch: list[dict[str, Any]]) -> list[Task]:
        if self._is_pinned:
            return [Task(CALLS, self.root, 0, None, batch)]
        shared = pieces(CallRange(self._fed, batch), len(store.load().idle))
        return [Task(CALLS, self.root, ANY, None, piece) for piece in shared]
