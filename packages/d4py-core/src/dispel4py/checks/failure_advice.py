"""What to change where a PE fails because of how it is called, as happens to those who begin."""

from __future__ import annotations

from typing import Any

from dispel4py.base import ConsumerPE, IterativePE
from dispel4py.checks.methods import is_inherited
from dispel4py.core import GenericPE

_ITERATIVE = (IterativePE, ConsumerPE)
#: What is raised where something has another form than the code takes it for.
_OF_FORM = (KeyError, IndexError, TypeError, ValueError, AttributeError)


def failure_advice(error: BaseException, pe: GenericPE, item: Any, *, is_root: bool) -> str:
    """Return what to change, where that follows from how the PE was called; "" for all others.

    Args:
        error: what the PE has raised in a call with an item.
        pe: the PE.
        item: the item.
        is_root: the item is one of the inputs of the run.
    """
    if is_root and isinstance(error, KeyError) and isinstance(item, dict) and not item:
        key = str(error.args[0]) if error.args else "name"
        return (
            "it was called with no inputs; give a dict for each call, with -d or as inputs of"
            f' run(): {{"{pe.name}": [{{"{key}": …}}]}}'
        )
    if isinstance(error, _OF_FORM) and _takes_inputs_for_item(pe):
        name = next(iter(pe.inputconnections), "input")
        return f"process() gets {{{name!r}: item}}; write _process(self, data) to get the item"
    return ""


def _takes_inputs_for_item(pe: GenericPE) -> bool:
    """Return whether a PE overrides process(), and does not look up its input in what it gets."""
    if not isinstance(pe, _ITERATIVE) or is_inherited(pe, "process", _ITERATIVE):
        return False
    code = getattr(type(pe).process, "__code__", None)
    return code is not None and not {*pe.inputconnections} & {*code.co_consts}
