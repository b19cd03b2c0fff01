"""`CallMonitor`: at most one thread at a time runs the engine for an instance.

The thread that calls a PE, its *caller*, is in the PE's code most of the time, while the engine
(executor, mapping, transport) rests.  Meanwhile another thread may enter the engine: the *flush
thread*, which sends what threads of the PE have written, or a mapping's thread, which takes back
what waits behind a long call.  The caller waits for that thread wherever it returns to the engine.

Where no other thread needs an instance, its caller pays two assignments per batch.  That is enough
because of the order of steps: the caller sets its position and then checks whether the monitor is
shared; all others share it and then check the position of the caller.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dispel4py.engine.limits import EngineLimits
from dispel4py.processes.user_code_thread import UserCodeThread


class CallMonitor:
    """Decides which thread may run the engine while an instance is called.

    Args:
        flush: sends what threads of the PE have written; returns whether to flush again soon.  None
            if there is no flush thread.
        on_stuck: called with the calling thread if the run has failed and the call does not return.
        limits: limits of the engine.

    Attributes:
        caller: the thread that calls the PE now; 0 between two batches of calls.
        instances: how many instances use the monitor: those that one thread calls in turn, and
            that share the lists of what they write, have one.
        is_shared: other threads use the instance.
        has_failed: another thread that ran the engine has failed.
        in_engine: the caller has returned to the engine in the middle of a call.
        changed: guards all other state, and what threads of the PE write.  A thread may take it
            twice: code of the user's may log wherever Python frees an object.
    """

    def __init__(
        self,
        flush: Callable[[], bool] | None = None,
        on_stuck: Callable[[int], None] = lambda caller: None,
        limits: EngineLimits = EngineLimits(),
    ) -> None:
        self.caller = 0
        self.instances = 1
        self.is_shared = False
        self.has_failed = False
        self.in_engine = False
        self._lock = threading.RLock()
        self.changed = threading.Condition(self._lock)
        self._flush = flush
        self._on_stuck = on_stuck
        self._limits = limits
        self._is_entered = False
        self._is_closed = False
        self._is_requested = False
        self._flush_thread: UserCodeThread | None = None
        self._flushes_begun = self._flushes_ended = 0

    # For the caller; `begin` and `wait_for_exit` only where the monitor is shared.

    def begin(self) -> None:
        """Begin a batch of calls, after `caller` was set."""
        if self._is_requested:
            with self.changed:
                self._start_flush_thread()
                self.changed.notify_all()

    def enter(self) -> None:
        """Return to the engine in the middle of a call, once no other thread runs it.

        Not where `in_engine` is true: the first `leave` would let other threads enter.
        """
        self.in_engine = True
        if self.is_shared:
            self.wait_for_exit()

    def leave(self) -> None:
        """Return to the call."""
        self.in_engine = False
        if self._is_requested:
            with self.changed:
                self.changed.notify_all()

    def wait_for_exit(self) -> None:
        """Wait until no other thread runs the engine.

        After a batch, once `caller` was reset, no thread that saw the call can still be writing.
        """
        with self._lock:
            if self._is_entered:
                self.changed.notify_all()
                while self._is_entered:
                    self.changed.wait()

    def abandon(self) -> None:
        """Stop waiting for other threads, as the program is being interrupted."""
        self._is_entered, self._is_closed = False, True

    def close(self) -> None:
        """End the use by an instance; the last lets no thread enter, and unblocks those of PEs."""
        self.instances -= 1
        if self.instances:
            return
        self.is_shared = True
        with self.changed:
            self._is_closed = True
            self.changed.notify_all()
            thread, is_busy = self._flush_thread, self._is_entered
        # It ends at once; it is not alive if there was no thread to be had.
        if thread is not None and thread.is_alive() and not is_busy:
            thread.join()

    # For other threads.

    @contextmanager
    def entered(self) -> Iterator[bool]:
        """Run the engine in the block if the caller is in the PE's code.

        Yields:
            False if the engine was not entered.
        """
        with self.changed:
            can_enter = self._can_enter()
            self._is_entered |= can_enter
        try:
            yield can_enter
        finally:
            if can_enter:
                with self.changed:
                    self._exit()

    def fail(self) -> None:
        """Wait for the caller to return, as the run has failed; call `on_stuck` if it does not."""
        with self.changed:
            self.has_failed = True
            self.changed.notify_all()
            has_returned = self.changed.wait_for(
                lambda: not self.caller or self.in_engine or self._is_closed,
                self._limits.stuck_seconds,
            )
            caller = self.caller
        if not has_returned:
            self._on_stuck(caller)

    def request_flush(self) -> int:
        """Request a flush; `changed` is held.

        Returns:
            The number of the flush that sends what was written so far.
        """
        if self._flush is not None and not self._is_closed:
            self._is_requested = True
            self._start_flush_thread()
            self.changed.notify_all()
        return self._flushes_begun + 1

    def wait_for_space(self, flush: int, has_space: Callable[[], bool]) -> None:
        """Wait until there is space, or a flush has ended; `changed` is held.

        A flush that makes no space cannot make any, so there is no use in waiting longer.
        """
        if self._flush is not None:
            self.changed.wait_for(
                lambda: self._is_over or self._flushes_ended >= flush or has_space()
            )

    @property
    def _is_over(self) -> bool:
        return self._is_closed or self.has_failed

    def _can_enter(self) -> bool:
        is_in_pe = self.caller and not self.in_engine
        return bool(is_in_pe) and not self._is_entered and not self._is_closed

    def _exit(self) -> None:
        self._is_entered = False
        self.changed.notify_all()

    def _start_flush_thread(self) -> None:
        if self._flush_thread is None:
            self._flush_thread = UserCodeThread(
                target=self._run_flushes, name="d4py-flush", daemon=True
            )
            self._flush_thread.start()

    def _run_flushes(self) -> None:
        """Flush on request, until there has been no request for a while."""
        again = False
        while self._wait_to_flush(again):
            try:
                again = self._flush is not None and self._flush()
            except BaseException:  # the executor keeps it, and raises it in the caller's thread
                again = False
                self.fail()
            with self.changed:
                self._flushes_ended = self._flushes_begun
                self._exit()

    def _wait_to_flush(self, again: bool) -> bool:
        """Begin a flush once it is requested and possible; return False to end this thread."""

        def is_due() -> bool:
            return self._is_closed or (self._is_requested and self._can_enter())

        with self.changed:
            is_due_now = self.changed.wait_for(
                is_due,
                self._limits.flush_again_seconds if again else self._limits.flush_idle_seconds,
            )
            if self._is_closed or not (is_due_now or (again and self._can_enter())):
                self._flush_thread = None
                return False
            self._is_requested = False
            self._is_entered = True
            self._flushes_begun += 1
        return True
