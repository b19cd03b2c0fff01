"""Calls of `process` of a PE with one output, as if it were `_process`.

What `process` returns is a dict, which ends with the call.  So a loop can see, by counting
references, whether the item in it has to be copied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispel4py.core import GenericPE


def unwrapped(
    pe: GenericPE, input_name: str | None, output: str, gather: Callable[[Any], None]
) -> Callable[[Any], Any]:
    """Return a function that calls `process` with an item, and returns the item that comes out.

    Args:
        pe: the PE.
        input_name: the input of the item; None for a root, whose items are what it is called with.
        output: the PE's only output.
        gather: called with what `process` has returned, if that is anything else than a dict with
            an item for the output; the function returns None then.
    """

    def call(item: Any) -> Any:
        returned = pe.process(item if input_name is None else {input_name: item})
        if type(returned) is dict and len(returned) == 1:
            data = returned.get(output)
            if data is not None:
                return data
        if returned is not None:
            gather(returned)
        return None

    return call
