"""How tests, and PEs of tests, wait for what happens in other threads and processes.

Nothing here measures time.  What ends a wait is the thing itself; the limit ends a test in which
it never happens, and is far beyond what a busy machine takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

#: Seconds after which a test stops waiting for what never happens.
LIMIT = 60.0
#: Seconds of a wait that only the thing under test may end, and of work that it may cut short.
#: It is so much longer than `LIMIT` that whatever waits to the end fails the test.
NEVER = 3600.0


def wait_until(condition: Callable[[], object], what: str, seconds: float = LIMIT) -> None:
    """Wait for a condition.

    Args:
        condition: is called again and again, until it returns something true.
        what: what is waited for, as the error says.
        seconds: a longer limit, for what takes long.

    Raises:
        AssertionError: it has not become true.
    """
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.005)


def wait_until_none(found: Callable[[], Iterable[object]], what: str) -> None:
    """Wait until there is nothing of a kind any more: processes, keys, files.

    Args:
        found: is called again and again; returns what there is.
        what: what is waited for, as the error says.

    Raises:
        AssertionError: there still is something; the error lists it.
    """
    until = time.monotonic() + LIMIT
    while left := [*found()]:
        names = ", ".join(map(str, left))
        assert time.monotonic() < until, f"waited {LIMIT:g} s in vain: {what}; left: {names}"
        time.sleep(0.005)
