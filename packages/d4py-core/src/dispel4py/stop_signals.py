"""Signals that stop a program, and how they are kept from coming at a bad moment.

Between two lines of a library that make something and note that it is to be removed, Ctrl-C would
leave it.  A blocked signal waits until it is unblocked.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

#: Signals that stop a program.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_signals_blocked() -> Iterator[None]:
    """Return a context that blocks `STOP_SIGNALS` in this thread and in processes started there."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
