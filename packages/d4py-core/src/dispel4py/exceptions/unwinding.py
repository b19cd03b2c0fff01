"""Which exceptions that leave a call of a PE were not raised by the PE.

All others count as the PE's, whatever they derive from: `asyncio.CancelledError` and the panics of
libraries in Rust are no `Exception`, and stop a run or are skipped like any `ValueError`.
"""

from __future__ import annotations

import signal
import threading
import traceback
from contextlib import suppress
from types import FrameType
from typing import Any


class Unwind(BaseException):
    """Unwinds the calls of PEs that are still on the stack when the run has failed.

    No `Exception`, so that an ``except Exception`` in a PE does not catch it.  A mapping that
    unwinds calls of PEs by another exception derives that from this one.
    """


def ignore_signal(number: int, frame: FrameType | None) -> None:
    """Handle a signal by doing nothing: SIGINT in workers, whose parent handles Ctrl-C.

    Unlike `signal.SIG_IGN`, a handler is not inherited by programs, which would ignore Ctrl-C too.
    """


def is_foreign(error: BaseException) -> bool:
    """Return whether an exception that left a call of a PE was not raised by the PE.

    Such an exception is an `Unwind`, or comes from a signal: Ctrl-C, or a handler that the caller
    of `simple` has installed.  Workers ignore SIGINT, so a `KeyboardInterrupt` is the PE's there.
    """
    if isinstance(error, Exception):
        return False
    if isinstance(error, Unwind):
        return True
    if threading.current_thread() is not threading.main_thread():
        return False  # only the main thread runs signal handlers
    if (
        isinstance(error, KeyboardInterrupt)
        and signal.getsignal(signal.SIGINT) not in _SILENT_HANDLERS
    ):
        return True
    # SIGINT is ignored by a command that a script has started in the background, which SIGTERM
    # interrupts all the same.
    handlers = _codes_of_handlers()
    return any(frame.f_code in handlers for frame, _ in traceback.walk_tb(error.__traceback__))


#: Signal handlers that raise nothing.
_SILENT_HANDLERS = (signal.SIG_IGN, signal.SIG_DFL, None, ignore_signal)


def reraise_foreign(error: BaseException) -> None:
    """Raise an exception again if it was not raised by a PE; see `is_foreign`."""
    if is_foreign(error):
        raise error


def _codes_of_handlers() -> set[Any]:
    codes = set()
    for number in signal.valid_signals():
        handler: Any = None
        with suppress(ValueError, OSError):
            handler = signal.getsignal(number)
        code = getattr(handler, "__code__", None)  # of a method, too
        if code is not None:
            codes.add(code)
    return codes
