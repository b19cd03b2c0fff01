"""`UserCodeThread`: a thread of d4py's own that calls code of users."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from math import inf, isfinite
from time import monotonic
from typing import Any

from dispel4py.processes.contexts import new_context
from dispel4py.processes.limits import ProcessLimits


class _InheritedFlag(int):
    """0, so threads that inherit it are no daemons; each object is that of one `UserCodeThread`."""


class UserCodeThread(threading.Thread):
    """A daemon whose threads are no daemons, although threads inherit that.

    A program, or a worker, ends without waiting for this thread.  For threads that a PE starts in
    it, it waits as if the PE had been called in the main thread: what they do would be lost else.
    What was set where this thread was started holds in it, too, such as the precision of `decimal`.
    """

    #: The base class's flag, which the threads that this one starts, and their threads, inherit.
    _daemonic: int

    def start(self) -> None:
        """Start the thread."""
        self._context_of_starter = new_context(copy_context())
        super().start()

    def run(self) -> None:
        """Run the target."""
        self._daemonic = _InheritedFlag()  # Python has made this one a daemon
        try:
            self._context_of_starter.run(super().run)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let threads that start from now on be daemons, too."""
        self._daemonic = True

    def join_started(
        self, log: Callable[[str], object], limits: ProcessLimits = ProcessLimits()
    ) -> None:
        """Wait for the threads that this thread, which calls this, and its threads have started.

        Without those that were made daemons, and those of a `ThreadPoolExecutor` that something
        still refers to: such a pool, of a module for example, waits for more work.

        Args:
            log: called with a sentence that names the threads, if they take long.
            limits: how long.
        """
        if any(map(self._has_started, threading.enumerate())):
            gc.collect()  # ends pools that nothing but a cycle of references still holds
        due_at = monotonic() + limits.slow_exit_seconds
        while threads := [*filter(self._has_to_end, threading.enumerate())]:
            threads[0].join(max(0.0, due_at - monotonic()) if isfinite(due_at) else None)
            if monotonic() >= due_at and (left := [*filter(self._has_to_end, threads)]):
                due_at = inf
                log(f"all items are done; {still_running([thread.name for thread in left])}")

    def _has_to_end(self, thread: threading.Thread) -> bool:
        return self._has_started(thread) and not _is_of_pool_in_use(thread)

    def _has_started(self, thread: threading.Thread) -> bool:
        return thread is not self and thread._daemonic is self._daemonic  # type: ignore[attr-defined]


def describe_threads(names: Sequence[str]) -> str:
    """Return the names of threads that are waited for, for a message."""
    if len(names) == 1:
        return f"its thread {names[0]!r}"
    return f"its threads {', '.join(map(repr, names))}"


def still_running(names: Sequence[str]) -> str:
    """Return that threads still run, for a message."""
    return f"{describe_threads(names)} still {'runs' if len(names) == 1 else 'run'}"


def _is_of_pool_in_use(thread: threading.Thread) -> bool:
    pools: Any = sys.modules.get("concurrent.futures.thread")
    if pools is None or thread not in pools._threads_queues:
        return False
    # A thread that has just ended has no arguments any more.
    reference, *_ = getattr(thread, "_args", None) or [lambda: None]
    return reference() is not None
