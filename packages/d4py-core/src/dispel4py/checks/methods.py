"""Checks of a PE's methods before a run.

A call of a generator function or an ``async def`` runs none of its code until the result is
iterated over or awaited, and a run does neither.  So such a method is a problem of the graph, and
so is one that does not take the arguments that it is called with.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from dispel4py.base import ConsumerPE, IterativePE, ProducerPE, SimpleFunctionPE
from dispel4py.core import GenericPE, overrides_batch

#: A method that a run calls; the method that d4py's own one calls; the classes with d4py's own
#: ones; the number of arguments.
_METHODS: tuple[tuple[str, str, tuple[type[GenericPE], ...], int], ...] = (
    ("preprocess", "_preprocess", (GenericPE,), 0),
    ("process", "_process", (IterativePE, ProducerPE, ConsumerPE, GenericPE), 1),
    ("postprocess", "_postprocess", (GenericPE,), 0),
)
_ARGUMENTS = ("no argument", "one argument")
_ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_LAZY = _ASYNC | inspect.CO_GENERATOR


def method_problems(pe: GenericPE, pe_id: str) -> Iterator[str]:
    """Yield one sentence for each method of a PE that cannot run as it is called.

    Args:
        pe: the PE.
        pe_id: its id in the run.
    """
    for outer, inner, classes, arguments in _METHODS:
        # An author's `process` may use `_process` in any way, such as iterate over its result.
        name = inner if is_inherited(pe, outer, classes) else outer
        if outer == "process" and overrides_batch(pe):
            name, parameter = "_process_batch", "items"
        else:
            parameter = "data"
        method = getattr(pe, name)
        flags = _flags(method)
        if flags & _LAZY:
            yield f"{pe_id}: {name}() {_problem(flags)}; {_advice(pe, name, flags)}"
        elif not _takes(method, arguments):
            written = f"self, {parameter}" if arguments else "self"
            yield (
                f"{pe_id}: {name}() is called with {_ARGUMENTS[arguments]}, which it does not"
                f" take; write def {name}({written})"
            )
    if hasattr(type(pe), "__getattr__"):
        yield from _getattr_problems(pe, pe_id)
    if isinstance(pe, SimpleFunctionPE) and type(pe)._process is SimpleFunctionPE._process:
        function: Any = pe.compute_fn
        name = getattr(function, "__name__", repr(function))
        flags = _flags(function)
        if function is not None and not callable(function):
            yield (
                f"{pe_id}: its compute_fn is {function!r}, which cannot be called; pass the"
                " function itself, as in SimpleFunctionPE(f), and not what it returns"
            )
        elif flags & _LAZY:
            yield f"{pe_id}: its compute_fn {name}() {_problem(flags)}; {_advice(pe, '', flags)}"


def _getattr_problems(pe: GenericPE, pe_id: str) -> Iterator[str]:
    """Yield what is wrong with a ``__getattr__``, which is called as the PE is copied."""
    empty = object.__new__(type(pe))  # as pickle and deepcopy make it, before it has attributes
    try:
        getattr(empty, "__setstate__", None)
    except Exception as error:
        yield (
            f"{pe_id}: __getattr__() raises {type(error).__name__} for '__setstate__', which is"
            " looked up in a copy before that has attributes; begin it with"
            " if name.startswith('__'): raise AttributeError(name)"
        )


def is_inherited(pe: GenericPE, method: str, classes: tuple[type[GenericPE], ...]) -> bool:
    """Return whether a PE inherits a method unchanged from one of some classes."""
    if method in vars(pe):
        return False
    found = getattr(type(pe), method)
    return any(found is getattr(base, method) for base in classes)


def _takes(method: Any, arguments: int) -> bool:
    """Return whether a method takes so many arguments; True if it is not written in Python."""
    code = getattr(getattr(method, "__func__", None), "__code__", None)
    if code is None:
        return True
    if code.co_kwonlyargcount > len(method.__kwdefaults__ or ()):
        return False
    most = code.co_argcount - 1  # without self
    least = most - len(method.__defaults__ or ())
    return least <= arguments and (arguments <= most or bool(code.co_flags & inspect.CO_VARARGS))


def _flags(function: Any) -> int:
    """Return the flags of a function's code; 0 if it has none in Python."""
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    code = getattr(function, "__code__", None)
    if code is None and callable(function):  # an object of a class with such a method
        code = getattr(type(function).__call__, "__code__", None)
    return 0 if code is None else int(code.co_flags)


def _problem(flags: int) -> str:
    if flags & _ASYNC:
        return "is an async def, which nothing awaits"
    return "has a yield, so that calling it runs none of its code"


def _advice(pe: GenericPE, name: str, flags: int) -> str:
    if flags & _ASYNC:
        return "write def, and in it asyncio.run(…) for what has to be awaited"
    if not name:
        return "return one item, a list for instance, or write a PE with a _process() of its own"
    if not pe.outputconnections:
        return "remove the yield: there is no output for its items"
    output = next(iter(pe.outputconnections))
    return f"write each item with self.write({output!r}, item) instead"
