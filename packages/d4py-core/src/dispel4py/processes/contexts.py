"""What code has set for itself, and other code that is called in the middle of it must not see.

These are context variables, such as the precision of `decimal` and the error handling of NumPy, and
the event loop of `asyncio` that is running.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any


def new_context(base: Context) -> Context:
    """Return a copy of a context, in which changes of `decimal`'s context stay.

    Args:
        base: the context.
    """
    made = base.copy()
    made.run(_copy_decimal_context)
    return made


def _copy_decimal_context() -> None:
    """Set a copy of `decimal`'s context, an object that copies of a context share."""
    decimal: Any = sys.modules.get("decimal")
    if hasattr(decimal, "setcontext"):  # else another thread is importing the module
        decimal.setcontext(decimal.getcontext().copy())


def running_loop() -> Any:
    """Return the event loop that is running in this thread; None without one."""
    asyncio: Any = sys.modules.get("asyncio")
    get_loop = getattr(asyncio, "_get_running_loop", None)
    return None if get_loop is None else get_loop()


@contextmanager
def event_loop(loop: Any) -> Iterator[None]:
    """Have another event loop running in this thread in the block, or none.

    Args:
        loop: the loop, or None.
    """
    before = running_loop()
    if before is loop:
        yield
        return
    import asyncio

    task = None if before is None else asyncio.current_task(before)
    if task is not None:
        asyncio.tasks._leave_task(before, task)
    asyncio._set_running_loop(loop)
    try:
        yield
    finally:
        asyncio._set_running_loop(before)
        if task is not None:
            asyncio.tasks._enter_task(before, task)
