"""What d4py-conformance adds to pytest: hard timeouts for tests of the suite.

It concerns itself with subclasses of `Suite` alone.
"""

from __future__ import annotations

from typing import Any

import pytest

from d4py_conformance.hanging import Deadline
from d4py_conformance.suite import Suite


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a test of the suite its timeout, unless it has one of its own."""
    suite = _suite_of(item)
    if suite is not None and item.get_closest_marker("timeout") is None:
        item.add_marker(pytest.mark.timeout(suite.timeout))


@pytest.hookimpl(optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """In place of pytest-timeout's own timer, which knows nothing of other processes."""
    if _suite_of(item) is None:
        return None
    # The name is the one that pytest-timeout looks for when the test is over.
    item.cancel_timeout = Deadline(settings.timeout).cancel  # type: ignore[attr-defined]
    return True


def _suite_of(item: pytest.Item) -> type[Suite] | None:
    cls = getattr(item, "cls", None)
    return cls if isinstance(cls, type) and issubclass(cls, Suite) else None
