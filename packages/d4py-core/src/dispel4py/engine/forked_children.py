"""Processes that a PE forks itself: they are no part of the run, and never go on as one.

A child of `os.fork` has the stack of its parent.  One that came back from the PE's method would go
on with the parent's items and send results by the parent's connections, so it ends there.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Collection
from types import CodeType, FrameType
from typing import NoReturn

from dispel4py.errors import D4pyError
from dispel4py.exceptions.tracebacks import format_user_traceback
from dispel4py.standard_streams.output import flush_standard_streams


def leave_loops(loops: Collection[CodeType]) -> None:
    """Let the loops on this thread's stack that go over ``items`` end with the turn in hand.

    Args:
        loops: their functions.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code in loops:
            items = frame.f_locals["items"]
            if hasattr(items, "close"):  # a generator, which has more to do than to hand items on
                items.close()
            else:
                deque(items, maxlen=0)
        frame = frame.f_back


def end_child(error: BaseException | None = None) -> NoReturn:
    """End this process as a program would that comes to its end, or that an exception ends.

    Its exit handlers are its parent's, and do not run.
    """
    status = 0
    if isinstance(error, SystemExit):
        status = _status(error.code)
    elif error is not None:
        print(format_user_traceback(error, D4pyError), end="", file=sys.stderr)
        status = 1
    flush_standard_streams()
    os._exit(status)


def _status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1
