"""Pickled exceptions with their causes, for processes that may lack parts of them.

Pickle omits `__cause__`, `__context__` and `__suppress_context__`, and creates an exception by
calling its class with its `args`, which fails for many an `__init__`.  Here these links are kept,
and the `__init__` of a class that was written in Python is not called.  Attributes that cannot be
pickled are omitted; a cause that cannot be is replaced by an `UnpicklableError` with its text.
"""

from __future__ import annotations

import io
import pickle
import traceback
from types import FunctionType
from typing import Any

from dispel4py.exceptions.unwinding import reraise_foreign
from dispel4py.object_types import is_of_type


class UnpicklableError(Exception):
    """Replaces an exception that cannot be pickled; has its type and message as text."""


def pickle_exception(exception: BaseException | None) -> bytes | None:
    """Return a pickled exception; None for None, or if the exception cannot be pickled.

    Args:
        exception: the exception; tracebacks are not pickled.
    """
    if exception is None:
        return None
    for with_links, is_probing in ((True, False), (True, True), (False, True)):
        file = io.BytesIO()
        pickler = _Pickler(file, with_links, is_probing)
        try:
            pickler.dump(exception)
        except BaseException as error:  # a user's class may raise anything
            reraise_foreign(error)
            continue
        data = file.getvalue()
        if not is_probing and pickler.kinds <= _known_classes:
            return data
        if type(unpickle_exception(data)) is type(exception):
            _known_classes.update(pickler.kinds)
            return data
    return None


def unpickle_exception(data: bytes | None) -> BaseException | None:
    """Return the exception; None for None, or if it cannot be created in this process."""
    if data is None:
        return None
    try:
        exception = pickle.loads(data)
    except BaseException as error:  # a user's class may raise anything, and so may its module
        reraise_foreign(error)
        return None
    return exception if isinstance(exception, BaseException) else None


#: Classes of which some exception was pickled and unpickled again.
_known_classes: set[type] = set()


class _Pickler(pickle.Pickler):
    """Pickles an exception.

    Args:
        file: gets the pickle.
        with_links: pickle causes and contexts too.
        is_probing: try every part first, and omit those that cannot be pickled.

    Attributes:
        kinds: classes of the exceptions in it.
    """

    def __init__(self, file: io.BytesIO, with_links: bool, is_probing: bool) -> None:
        super().__init__(file, protocol=5)
        self.kinds: set[type] = set()
        self._with_links = with_links
        self._is_probing = is_probing

    def reducer_override(self, value: Any) -> Any:
        if not is_of_type(value, BaseException):
            return NotImplemented
        self.kinds.add(type(value))
        make, arguments, state = _reduce(value, is_probing=self._is_probing)
        links: Any = (None, None, True)
        if self._with_links:
            links = (value.__cause__, value.__context__, value.__suppress_context__)
        return make, arguments, (state, links), None, None, _restore


def _reduce(exception: BaseException, *, is_probing: bool) -> tuple[Any, tuple[Any, ...], Any]:
    """Return how to create an exception again: a callable, its arguments, a state."""
    kind = type(exception)
    reduced: Any = ()
    try:
        reduced = exception.__reduce_ex__(5)
        if is_probing:
            _Probe().dump((kind, *reduced[:2]))
    except BaseException as error:  # a user's class may raise anything
        reraise_foreign(error)
        if not is_probing:
            raise
        text = "".join(traceback.format_exception_only(exception)).strip()
        return UnpicklableError, (text,), None
    make, arguments, state = (*reduced[:3], None)[:3]
    base = _builtin_base(kind)
    if make is kind and base is not None:
        make, arguments = _create, (kind, base, arguments)
    if is_probing and isinstance(state, dict):
        state = {name: value for name, value in state.items() if _can_be_pickled(value)}
    return make, arguments, state


class _Probe(pickle.Pickler):
    """Tries whether an exception can be pickled, apart from other exceptions in it."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), protocol=5)

    def reducer_override(self, value: Any) -> Any:
        return (bool, ()) if is_of_type(value, BaseException) else NotImplemented


def _can_be_pickled(value: Any) -> bool:
    try:
        _Probe().dump(value)
    except BaseException as error:  # a user's class may raise anything
        reraise_foreign(error)
        return False
    return True


def _builtin_base(kind: type[BaseException]) -> type[BaseException] | None:
    """Return the built-in base that can create an exception; None if only its class can."""
    for base in kind.__mro__:
        if base.__module__ == "builtins":
            return None if base is kind else base
        own = vars(base)
        if "__reduce__" in own or "__reduce_ex__" in own:
            return None
        new = own.get("__new__")
        for function in (own.get("__init__"), getattr(new, "__func__", new)):
            if not isinstance(function, FunctionType | None):
                return None  # implemented in C
    return None


def _create(kind: Any, base: Any, arguments: tuple[Any, ...]) -> BaseException:
    exception: BaseException = base.__new__(kind, *arguments)
    base.__init__(exception, *arguments)
    return exception


def _restore(exception: BaseException, parts: tuple[Any, Any]) -> None:
    state, (cause, context, is_context_hidden) = parts
    if state is not None:
        exception.__setstate__(state)
    exception.__cause__, exception.__context__ = cause, context
    exception.__suppress_context__ = is_context_hidden
