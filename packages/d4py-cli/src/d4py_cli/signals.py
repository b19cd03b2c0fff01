"""SIGTERM and SIGHUP as Ctrl-C: one way to stop, which cleans up what nobody can resume.

Processes that are forked meanwhile, by a PE for example, handle them as any program does.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import Any

from dispel4py.errors import TerminatedError

#: Seconds for which a second signal is ignored, so that it does not interrupt the clean-up.
GRACE = 2.0
#: Seconds after which a signal that came during a fork is sent again.
_AGAIN_SECONDS = 0.01

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Raise `KeyboardInterrupt` in the main thread for each signal that asks this process to stop.

    For SIGTERM and SIGHUP it is a `TerminatedError`.

    Signals that the caller of this process ignores (`nohup`) stay ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    raised_at = float("-inf")

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal raised_at
        if _forks.under_way:
            _forks.pending = number
        elif monotonic() - raised_at >= GRACE:
            raised_at = monotonic()
            raise KeyboardInterrupt if number == signal.SIGINT else TerminatedError

    before: dict[signal.Signals, Any] = {}
    try:
        for number in _STOPPING:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                _forks.taken.add(number)
                before[number] = signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
            _forks.taken.discard(number)


class _Forks:
    """Restores default signal handling in forked processes, which have no run to clean up.

    An exception in such a process could be swallowed, for example while a process pool starts it;
    the pool would then wait for ever.  Python drops signals that arrive during a fork, so they
    are blocked meanwhile.

    Attributes:
        taken: the signals that raise `KeyboardInterrupt` in this process.
        under_way: Number of threads that are forking; an exception would be swallowed there, too.
        pending: A signal that arrived during a fork.
    """

    def __init__(self) -> None:
        self.taken: set[signal.Signals] = set()
        self.under_way = 0
        self.pending: int | None = None
        self._blocked = threading.local()
        os.register_at_fork(
            before=self._begin, after_in_parent=self._end, after_in_child=self._end_in_child
        )

    def _begin(self) -> None:
        if self.taken:
            self.under_way += 1
            self._blocked.before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)

    def _end(self) -> None:
        before = vars(self._blocked).pop("before", None)
        if before is None:
            return
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.under_way -= 1
        pending, self.pending = self.pending, None
        if pending is not None:
            again = threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), pending))
            again.daemon = True
            again.start()

    def _end_in_child(self) -> None:
        for number in self.taken:
            signal.signal(number, signal.SIG_DFL)
        self.taken.clear()
        self.pending = None
        self._end()
        self.under_way = 0


_forks = _Forks()
