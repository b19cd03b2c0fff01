"""A thread beside the task loop, for when one item takes long: the rest must not wait for it.

A worker gives work away between two batches.  In the middle of a call it cannot; so this thread
looks then, and only then, whether something waits behind the call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

#: A batch that is still in hand after so many seconds, or twice that, holds up what waits.
RELIEF_SECONDS = 0.02


class HasBatches(Protocol):
    """What is watched; see `dispel4py.engine.executor.Executor`."""

    @property
    def current_batch(self) -> object | None:
        """The batch in hand; a new object for each one."""

    def entered(self, in_hand: object) -> AbstractContextManager[bool]:
        """Run the engine in a block while this batch is in hand; False if it is not any more."""


class Preemptor:
    """Watches the batches of a worker.

    Args:
        watched: says which batch is in hand.
        relieve: called as a visitor, while the worker is in the middle of a call; again and again
            as long as it has done nothing.

    Attributes:
        error: what `relieve` raised; nothing is relieved any more.
    """

    def __init__(self, watched: HasBatches, relieve: Callable[[], None]) -> None:
        self._watched = watched
        self._relieve = relieve
        self._on_duty = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="d4py-relief", daemon=True)
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begin to watch, once on duty."""
        self._thread.start()

    def on_duty(self, on: bool) -> None:
        """There are batches to watch from now on, or none."""
        if on:
            self._on_duty.set()
        else:
            self._on_duty.clear()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        self._on_duty.set()
        self._thread.join()

    def _watch(self) -> None:
        seen = None
        while self._on_duty.wait() and not self._stopped.wait(RELIEF_SECONDS):
            in_hand = self._watched.current_batch
            if in_hand is None or in_hand is not seen:
                seen = in_hand
                continue
            with self._watched.entered(in_hand) as is_there:
                if not is_there or self._watched.current_batch is not seen:
                    continue
                try:
                    self._relieve()
                except BaseException as error:  # raised where the worker looks
                    self.error = error
                    return
