"""Errors for a PE that writes to an unknown output, or whose `process` returns no outputs.

The second concerns PEs that override `process`; what `_process` returns is an item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dispel4py.base import IterativePE, ProducerPE
from dispel4py.core import GenericPE
from dispel4py.errors import UnknownOutputError, name_list, shorten


def unknown_output_error(
    pe_id: str, outputs: Sequence[str], name: str, returned: Mapping[str, Any] | None = None
) -> UnknownOutputError:
    """Return the error for an output that a PE does not have.

    Args:
        pe_id: id of the PE.
        outputs: names of the outputs that it has.
        name: name of the unknown output.
        returned: the dict that `process` returned, if the name was in it.
    """
    message = f"{pe_id} has no output {name!r} (outputs: {name_list(outputs)})"
    if returned is not None and outputs and not any(_is_like_one(key, outputs) for key in returned):
        message += (
            f"; process() returned {shorten(returned)}, whose keys must be outputs: to send it"
            f" as an item, return {{{outputs[0]!r}: data}}"
        )
    return UnknownOutputError(message)


def _is_like_one(key: Any, outputs: Sequence[str]) -> bool:
    from difflib import get_close_matches  # slow to import, and only errors need it

    return key in outputs or bool(get_close_matches(str(key), outputs, n=1))


def invalid_return_error(pe: GenericPE, returned: Any) -> TypeError:
    """Return the error for a `process` that returned neither a dict nor None."""
    message = (
        f"process() returned {shorten(returned)}; it can return a dict of output name and data, or"
        " None"
    )
    outputs = list(pe.outputconnections)
    if isinstance(returned, Iterator) and outputs:
        message += f"; write each item with self.write({outputs[0]!r}, item)"
    elif isinstance(pe, IterativePE | ProducerPE):
        message += "; to return the data alone, override _process() in place of process()"
    return TypeError(message)
