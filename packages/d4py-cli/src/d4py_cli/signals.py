"""SIGTERM and SIGHUP as Ctrl-C: one way to stop, which cleans up."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import Any

#: Seconds in which a second signal is ignored, so that it does not cut the cleaning up short.
GRACE = 2.0

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Raise `KeyboardInterrupt` in the main thread for each signal that asks this process to stop.

    Signals that the caller of this process ignores (`nohup`) stay ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    raised_at = float("-inf")

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal raised_at
        if monotonic() - raised_at >= GRACE:
            raised_at = monotonic()
            raise KeyboardInterrupt

    before: dict[signal.Signals, Any] = {}
    try:
        for number in _STOPPING:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
