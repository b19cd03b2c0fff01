"""The monitor of an instance: at most one thread at a time runs the engine, which is all but PEs.

The thread that calls a PE, its *caller*, is in the PE's own code most of the time, and the engine
(executor, mapping, transport) rests.  A *visitor* may run the engine then: a thread of the run's
own, which sends on what threads of the PE have written, or what waits behind a long call.  The
caller waits for it wherever it comes back to the engine.

Where no other thread has to do with an instance, its caller pays two assignments per batch.  That
is enough because of the order of steps: the caller says where it is and then looks whether the
monitor is shared; all others share it and then look where the caller is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dispel4py.engine.limits import EngineLimits


class CallMonitor:
    """Decides which thread may run the engine while an instance is called.

    Args:
        visit: runs the engine with what threads of the PE have written; returns whether it has to
            be called again soon.  None where no other thread may run the engine.
        on_stuck: called when a visit has failed and the call goes on, with the thread that is in
            it.

    Attributes:
        caller: the thread that calls the PE now; 0 between two batches of calls.
        is_shared: other threads have to do with the instance.
        has_failed: a visit has failed.
        changed: guards everything else here, and what is written by threads of the PE.
    """

    def __init__(
        self,
        visit: Callable[[], bool] | None = None,
        on_stuck: Callable[[int], None] = lambda caller: None,
        limits: EngineLimits = EngineLimits(),
    ) -> None:
        self.caller = 0
        self.is_shared = False
        self.has_failed = False
        self._lock = threading.Lock()
        self.changed = threading.Condition(self._lock)
        self._visit = visit
        self._on_stuck = on_stuck
        self._limits = limits
        self._in_engine = False
        self._has_visitor = False
        self._is_closed = False
        self._wanted = False
        self._has_thread = False
        self._begun = self._ended = 0

    # What the caller does; the first and the last only where the monitor is shared.

    def begin(self) -> None:
        """Begin a batch of calls; `caller` is set."""
        if self._wanted:
            with self.changed:
                self._start_thread()
                self.changed.notify_all()

    def enter(self) -> None:
        """Come back to the engine in the middle of a call, once no visitor is there."""
        self._in_engine = True
        if self.is_shared:
            self._wait_for_visitor()

    def leave(self) -> None:
        """Go on with the call."""
        self._in_engine = False
        if self._wanted:
            with self.changed:
                self.changed.notify_all()

    def end(self) -> None:
        """Come back to the engine after a batch; `caller` is 0 again.

        After this nothing is accepted from a thread that had found a call to last.
        """
        self._wait_for_visitor()

    def abandon(self) -> None:
        """Wait for no visitor any more, as the program is being interrupted."""
        self._has_visitor, self._is_closed = False, True

    def close(self) -> None:
        """Let no visitor in any more, and let threads that wait for one go on."""
        self.is_shared = True
        with self.changed:
            self._is_closed = True
            self.changed.notify_all()

    def _wait_for_visitor(self) -> None:
        with self._lock:
            has_visitor = self._has_visitor
        if has_visitor:
            with self.changed:
                self.changed.notify_all()
                while self._has_visitor:
                    self.changed.wait()

    # What other threads do.

    @contextmanager
    def entered(self) -> Iterator[bool]:
        """Run the engine in a block, if the caller is in the PE's code; False if it is not."""
        with self.changed:
            may_visit = self._may_visit()
            self._has_visitor |= may_visit
        try:
            yield may_visit
        finally:
            if may_visit:
                with self.changed:
                    self._end_visit()

    def request_flush(self) -> int:
        """Have a visitor come; `changed` is held.

        Returns:
            The number of the visit after which there is room again.
        """
        if self._visit is not None and not self._is_closed:
            self._wanted = True
            self._start_thread()
            self.changed.notify_all()
        return self._begun + 1

    def wait_for_space(self, visit: int, has_room: Callable[[], bool]) -> None:
        """Wait until there is room, or until a visit has ended; `changed` is held.

        A visit that makes no room is one that cannot, and waiting longer would be of no use.
        """
        if self._visit is not None:
            self.changed.wait_for(lambda: self._is_over or self._ended >= visit or has_room())

    @property
    def _is_over(self) -> bool:
        return self._is_closed or self.has_failed

    def _may_visit(self) -> bool:
        in_code = self.caller and not self._in_engine
        return bool(in_code) and not self._has_visitor and not self._is_closed

    def _end_visit(self) -> None:
        self._has_visitor = False
        self.changed.notify_all()

    def _start_thread(self) -> None:
        if not self._has_thread:
            self._has_thread = True
            threading.Thread(target=self._serve, name="d4py-visitor", daemon=True).start()

    def _serve(self) -> None:
        """Visit whenever it is wanted, until nothing has been for a while."""
        again = False
        while self._wait_to_visit(again):
            try:
                again = self._visit is not None and self._visit()
            except BaseException:  # the executor keeps it, and raises it in the caller
                again, self.has_failed = False, True
                self._look_if_stuck()
            with self.changed:
                self._ended = self._begun
                self._end_visit()

    def _look_if_stuck(self) -> None:
        """Give the caller some time to come back, as the run has failed."""
        with self.changed:
            self.changed.notify_all()
            is_back = self.changed.wait_for(
                lambda: not self.caller or self._in_engine or self._is_closed,
                self._limits.stuck_seconds,
            )
            caller = self.caller
        if not is_back:
            self._on_stuck(caller)

    def _wait_to_visit(self, again: bool) -> bool:
        """Begin a visit once it is wanted and possible; False if this thread is to end."""

        def is_due() -> bool:
            return self._is_closed or (self._wanted and self._may_visit())

        with self.changed:
            is_due_now = self.changed.wait_for(
                is_due,
                self._limits.flush_again_seconds if again else self._limits.flush_idle_seconds,
            )
            if self._is_closed or not (is_due_now or (again and self._may_visit())):
                self._has_thread = False
                return False
            self._wanted = False
            self._has_visitor = True
            self._begun += 1
        return True
