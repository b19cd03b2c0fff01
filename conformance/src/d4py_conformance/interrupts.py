"""Interrupts of a call at each of its steps in turn, as Ctrl-C may come at any time.

A step is a line, or a return, of a function of some modules.  A test that sends a signal after a
while meets one step of thousands, and another one in each run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterable, Iterator
from inspect import CO_GENERATOR
from itertools import count
from types import FrameType, ModuleType
from typing import Any


def interrupted_at_each_step(
    call: Callable[[], object], modules: Iterable[ModuleType]
) -> Iterator[str]:
    """Make a call again and again, each time interrupted one step later, until it is not any more.

    Args:
        call: what is called.
        modules: those whose steps count.

    Returns:
        where the call was interrupted, with a `KeyboardInterrupt`, each time that it was.
    """
    files = {module.__file__ for module in modules}
    for step in count(1):
        where = _interrupted_at(step, call, files)
        if where is None:
            return
        yield where


def _interrupted_at(
    step: int, call: Callable[[], object], files: Container[str | None]
) -> str | None:
    done, where = 0, None

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal done, where
        code = frame.f_code
        # What is raised as a generator yields passes by its handlers, as no interrupt does.
        is_step = event == "line" or (event == "return" and not code.co_flags & CO_GENERATOR)
        if is_step and code.co_filename in files:
            done += 1
            if done == step:
                where = f"a {event} of {code.co_filename}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        assert where is not None
    finally:
        sys.settrace(before)
    return where
