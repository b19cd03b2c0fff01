"""SIGTERM and SIGHUP as Ctrl-C: one way to stop, which cleans up what cannot be resumed.

Processes that are forked meanwhile, by a PE for example, handle them as any program does.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from types import FrameType
from typing import Any

from d4py_cli.exit_statuses import INTERRUPTED
from d4py_cli.files.lines import print_message
from dispel4py.errors import TerminatedError
from dispel4py.processes.descendants import end_own_descendants

#: Seconds for which a second signal is ignored, so that it does not interrupt the clean-up.
GRACE = 2.0
#: Number of signals in a call of a PE that end the command, each `GRACE` after the one before.
_CAUGHT = 3
#: Seconds after which a signal that was swallowed is sent again, each time.
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
    raised_at = counted_at = float("-inf")
    raised_in_calls = 0

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal raised_at, counted_at, raised_in_calls
        if _forks.is_under_way():
            _resending.begin(number)
            return
        _resending.end()
        if monotonic() - raised_at >= GRACE:
            raised_at = monotonic()
            if _is_in_call(frame) and raised_at - counted_at >= GRACE:  # else it was sent again
                counted_at = raised_at
                raised_in_calls += 1
                _end_if_caught(raised_in_calls)
            raise KeyboardInterrupt if number == signal.SIGINT else TerminatedError

    def on_unraisable(swallowed: Any) -> None:
        nonlocal raised_at
        for frame, _ in traceback.walk_tb(swallowed.exc_traceback):
            if frame.f_code is interrupt.__code__ and _forks.taken:
                raised_at = float("-inf")
                _resending.begin(frame.f_locals["number"])
                return
        show_unraisable(swallowed)

    show_unraisable, sys.unraisablehook = sys.unraisablehook, on_unraisable
    taken_before = {*_forks.taken}
    before: dict[signal.Signals, Any] = {}
    try:
        for number in _STOPPING:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                _forks.taken.add(number)
                before[number] = signal.signal(number, interrupt)
        yield
    finally:
        _resending.end()
        _forks.taken = taken_before
        for number, handler in before.items():
            signal.signal(number, handler)
        if sys.unraisablehook is on_unraisable:  # a workflow may have set its own
            sys.unraisablehook = show_unraisable


def _is_in_call(frame: FrameType | None) -> bool:
    """Return whether a PE is being called in this thread, as ``simple`` does."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        if name.partition(".")[0] in ("dispel4py", "d4py_cli"):
            return name.startswith("dispel4py.engine.")
        frame = frame.f_back
    return False


def _end_if_caught(count: int) -> None:
    """End this process at once if a call of a PE goes on after two signals: it catches them.

    Args:
        count: how many signals have come in a call.
    """
    if count == _CAUGHT - 1:
        print_message(
            "dispel4py: the call of a PE goes on; if it catches every exception (except:), another"
            " Ctrl-C ends the command at once"
        )
    elif count == _CAUGHT:
        print_message("dispel4py: interrupted, in a call of a PE that catches every exception")
        end_own_descendants()
        os._exit(INTERRUPTED)


class _Forks:
    """Restores default signal handling in forked processes, which have no run to clean up.

    An exception in such a process could be swallowed, for example while a process pool starts it;
    the pool would then wait for ever.  Python drops signals that arrive during a fork, so they
    are blocked meanwhile.  Another thread may get one all the same; what its handler raised then
    would skip a hook, which restores the mask of signals here, or releases a lock of `logging`.

    Attributes:
        taken: the signals that raise `KeyboardInterrupt` in this process.
    """

    def __init__(self) -> None:
        self.taken: set[int] = set()
        self._thread = threading.local()
        os.register_at_fork(
            before=self._begin, after_in_parent=self._end, after_in_child=self._end_in_child
        )

    def is_under_way(self) -> bool:
        """Return whether this thread is forking."""
        return getattr(self._thread, "is_forking", False)

    def _begin(self) -> None:
        if self.taken:
            self._thread.is_forking = True  # first: no handler raises from here on
            self._thread.before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)

    def _end(self) -> None:
        if self.is_under_way():
            signal.pthread_sigmask(signal.SIG_SETMASK, self._thread.before)
            self._thread.is_forking = False

    def _end_in_child(self) -> None:
        for number in self.taken:
            signal.signal(number, signal.SIG_DFL)
        self.taken = set()
        _resending.end()
        self._end()


class _Resending:
    """Sends a signal again that did not stop the run, until its handler has raised.

    One that comes while the main thread forks is put off, and Python swallows what is raised in
    other hooks of a fork, or while it takes objects apart.  A signal that comes as the main thread
    begins to wait would be handled only after the wait, so it is sent more than once.
    """

    def __init__(self) -> None:
        self._sent: list[int] = []  # empty, or the signal, in a list for each call of `begin`

    def begin(self, number: int) -> None:
        """Send a signal from now on."""
        self._sent = sent = [number]
        # One of `threading` takes locks, which the main thread may hold right now.
        _thread.start_new_thread(self._send, (sent,))

    def end(self) -> None:
        """Send it no more."""
        self._sent = []

    def _send(self, sent: list[int]) -> None:
        while True:
            sleep(_AGAIN_SECONDS)
            if self._sent is not sent or sent[0] not in _forks.taken:
                return
            os.kill(os.getpid(), sent[0])


_resending = _Resending()
_forks = _Forks()
