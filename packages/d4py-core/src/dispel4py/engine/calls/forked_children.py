"""Processes that a PE forks: they are not part of the run, and end with the current call.

A child of `os.fork` has the stack of its parent.  A child that returned from the PE's method would
continue with the parent's items and send results by the parent's connections.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Collection
from types import CodeType, FrameType
from typing import NoReturn

from dispel4py.errors import D4pyError, exit_code_of
from dispel4py.exceptions.tracebacks import format_user_traceback
from dispel4py.standard_streams.output import flush_standard_streams


def leave_loops(loops: Collection[CodeType]) -> None:
    """End loops over ``items`` on this thread's stack after their current iteration.

    Args:
        loops: the code of their functions.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code in loops:
            items = frame.f_locals["items"]
            if hasattr(items, "close"):  # a generator, which must not run its own code
                items.close()
            else:
                deque(items, maxlen=0)
        frame = frame.f_back


def end_child(error: BaseException | None = None) -> NoReturn:
    """End this process with the exit status of a program that ends, or that an exception ends.

    Exit handlers, which belong to the parent, do not run.
    """
    status = 0
    if isinstance(error, SystemExit):
        code = exit_code_of(error)
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
        status = code & 0xFF
    elif error is not None:
        print(format_user_traceback(error, D4pyError), end="", file=sys.stderr)
        status = 1
    flush_standard_streams()
    os._exit(status)
