"""Exceptions as bytes, with what caused them, for a process that lacks what they are made of.

Pickle leaves out `__cause__`, `__context__` and whether the latter is shown, and makes an exception
by calling its class with its `args`, which many an `__init__` takes for something else.  Here the
links go along, and a class that was written in Python is not called at all.  Attributes that cannot
be pickled are left out; an exception further down that cannot be is replaced by an
`UncarriedError` with its text.
"""

from __future__ import annotations

import io
import pickle
import traceback
from types import FunctionType
from typing import Any

from dispel4py.exceptions.unwinding import let_pass


class UncarriedError(Exception):
    """Stands for an exception that cannot be carried to this process, by its type and message."""


def pack(exception: BaseException | None) -> bytes | None:
    """Return an exception as bytes; None if there is none, or if it cannot be carried.

    Args:
        exception: the exception; its traceback, which cannot be carried, stays here.
    """
    if exception is None:
        return None
    for with_links, in_doubt in ((True, False), (True, True), (False, True)):
        data = io.BytesIO()
        packer = _Packer(data, with_links, in_doubt)
        try:
            packer.dump(exception)
        except BaseException as error:  # a user's class may raise anything
            let_pass(error)
            continue
        packed = data.getvalue()
        if not in_doubt and packer.kinds <= _carried_before:
            return packed
        if type(unpack(packed)) is type(exception):
            _carried_before.update(packer.kinds)
            return packed
    return None


def unpack(packed: bytes | None) -> BaseException | None:
    """Return the exception; None if it cannot be made again in this process."""
    if packed is None:
        return None
    try:
        exception = pickle.loads(packed)
    except BaseException as error:  # a user's class may raise anything, and so may its module
        let_pass(error)
        return None
    return exception if isinstance(exception, BaseException) else None


#: Classes of which some exception could be made again.
_carried_before: set[type] = set()


class _Packer(pickle.Pickler):
    """Pickles an exception.

    Args:
        file: for the bytes.
        with_links: what led to it goes along.
        in_doubt: each exception is tried out before, so that what cannot be pickled is left out.

    Attributes:
        kinds: classes of the exceptions in it.
    """

    def __init__(self, file: io.BytesIO, with_links: bool, in_doubt: bool) -> None:
        super().__init__(file, protocol=5)
        self.kinds: set[type] = set()
        self._with_links = with_links
        self._in_doubt = in_doubt

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, BaseException):
            return NotImplemented
        self.kinds.add(type(value))
        make, arguments, state = _taken_apart(value, in_doubt=self._in_doubt)
        links: Any = (None, None, True)
        if self._with_links:
            links = (value.__cause__, value.__context__, value.__suppress_context__)
        return make, arguments, (state, links), None, None, _fill


def _taken_apart(exception: BaseException, *, in_doubt: bool) -> tuple[Any, tuple[Any, ...], Any]:
    """Return what makes the exception again: a callable, its arguments, a state."""
    kind = type(exception)
    reduced: Any = ()
    try:
        reduced = exception.__reduce_ex__(5)
        if in_doubt:
            _Probe().dump((kind, *reduced[:2]))
    except BaseException as error:  # a user's class may raise anything
        let_pass(error)
        if not in_doubt:
            raise
        text = "".join(traceback.format_exception_only(exception)).strip()
        return UncarriedError, (text,), None
    make, arguments, state = (*reduced[:3], None)[:3]
    base = _base_to_make(kind)
    if make is kind and base is not None:
        make, arguments = _made, (kind, base, arguments)
    if in_doubt and isinstance(state, dict):
        state = {name: value for name, value in state.items() if _can_be_pickled(value)}
    return make, arguments, state


class _Probe(pickle.Pickler):
    """Finds out whether an exception can be pickled, whatever becomes of others that it holds."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), protocol=5)

    def reducer_override(self, value: Any) -> Any:
        return (bool, ()) if isinstance(value, BaseException) else NotImplemented


def _can_be_pickled(value: Any) -> bool:
    try:
        _Probe().dump(value)
    except BaseException as error:  # a user's class may raise anything
        let_pass(error)
        return False
    return True


def _base_to_make(kind: type[BaseException]) -> type[BaseException] | None:
    """Return the built-in class that makes an exception; None if it has to be made otherwise."""
    for base in kind.__mro__:
        if base.__module__ == "builtins":
            return None if base is kind else base
        own = vars(base)
        if "__reduce__" in own or "__reduce_ex__" in own:
            return None
        new = own.get("__new__")
        for function in (own.get("__init__"), getattr(new, "__func__", new)):
            if not isinstance(function, FunctionType | None):
                return None  # it is no Python that makes it
    return None


def _made(kind: Any, base: Any, arguments: tuple[Any, ...]) -> BaseException:
    exception: BaseException = base.__new__(kind, *arguments)
    base.__init__(exception, *arguments)
    return exception


def _fill(exception: BaseException, filling: tuple[Any, Any]) -> None:
    state, (cause, context, is_context_hidden) = filling
    if state is not None:
        exception.__setstate__(state)
    exception.__cause__, exception.__context__ = cause, context
    exception.__suppress_context__ = is_context_hidden
