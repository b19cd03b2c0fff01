"""What to change where a PE fails because of how it is called, as happens to those who begin."""

from __future__ import annotations

from typing import Any

from dispel4py.base import ConsumerPE, IterativePE
from dispel4py.checks.methods import is_inherited
from dispel4py.core import GenericPE

_ITERATIVE = (IterativePE, ConsumerPE)
#: What is raised where something has another form than the code takes it for.
_OF_FORM = (KeyError, IndexError, TypeError, ValueError, AttributeError)

#: Names in a process() that takes its input by other means than the name of the input.
_READS = frozenset({"INPUT_NAME", "inputconnections", "process", "_process", "items", "values"})


def failure_advice(error: BaseException, pe: GenericPE, item: Any, *, is_root: bool) -> str:
    """Return what to change, where that follows from how the PE was called; "" for all others.

    Args:
        error: what the PE has raised in a call with an item.
        pe: the PE.
        item: the item.
        is_root: the item is one of the inputs of the run.
    """
    if is_root and isinstance(error, KeyError) and isinstance(item, dict) and not item:
        key = error.args[0] if error.args else None
        if type(key) is not str or not _raised_beside(error, item):
            return ""
        return (
            f"it was called with no inputs; if it needs {key!r} of them, give a dict for each call,"
            f' with -d or as inputs of run(): {{"{pe.name}": [{{"{key}": …}}]}}'
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
    if code is None or _READS & {*code.co_names}:
        return False
    return not {*pe.inputconnections} & {*code.co_consts}


def _raised_beside(error: BaseException, item: Any) -> bool:
    """Return whether an error was raised in a function that has an item as a local variable."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and any(it is item for it in trace.tb_frame.f_locals.values())
