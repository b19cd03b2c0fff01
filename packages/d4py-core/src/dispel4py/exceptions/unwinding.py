"""Which exceptions that come out of a PE's call are not the PE's own.

All others are, whatever they derive from: `asyncio.CancelledError` and the panics of libraries in
Rust are no `Exception`, and stop a run or are skipped like any `ValueError`.
"""

from __future__ import annotations

import signal
import threading
import traceback
from contextlib import suppress
from types import FrameType
from typing import Any


class Unwind(BaseException):
    """Leaves the calls of PEs that are still on the stack when the run has failed.

    Not an `Exception`, so that no ``except Exception`` in a PE swallows it.  A mapping that leaves
    the calls of PEs by an exception of its own derives it from this one.
    """


def ignore_signal(number: int, frame: FrameType | None) -> None:
    """Handle a signal by doing nothing: that of workers for Ctrl-C, which their parent deals with.

    Unlike `signal.SIG_IGN`, it is not handed on to programs, which would not heed Ctrl-C either.
    """


def is_foreign(error: BaseException) -> bool:
    """Return whether an exception that a PE let out was not raised by the PE.

    It is d4py's own, which leaves the call, or that of a signal: of Ctrl-C, or of a handler that
    the caller of `simple` has installed.  Workers ignore Ctrl-C, so there a `KeyboardInterrupt` is
    the PE's.
    """
    if isinstance(error, Exception):
        return False
    if isinstance(error, Unwind):
        return True
    if threading.current_thread() is not threading.main_thread():
        return False  # only the main thread deals with signals
    if isinstance(error, KeyboardInterrupt):
        return signal.getsignal(signal.SIGINT) not in _WITHOUT_AN_EXCEPTION
    handlers = _codes_of_handlers()
    return any(frame.f_code in handlers for frame, _ in traceback.walk_tb(error.__traceback__))


#: Ways of dealing with a signal that raise nothing.
_WITHOUT_AN_EXCEPTION = (signal.SIG_IGN, signal.SIG_DFL, None, ignore_signal)


def let_pass(error: BaseException) -> None:
    """Raise an exception again that is not a PE's; see `is_foreign`."""
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
