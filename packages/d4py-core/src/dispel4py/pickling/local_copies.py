"""Copies, within a process, of objects that pickle refuses: functions, and local classes.

A function has more state than its code: the variables of its closure, its defaults, its attributes.
`copy_locally` copies all of them, and each variable once, so that two functions of an item that
share a variable still share it.  Members of a module (functions and classes that are found there by
name, the globals of a function) are not copied.

    >>> def counting():
    ...     count = [0]
    ...     return lambda: count[0], count
    >>> read, count = counting()
    >>> copied = copy_locally(read)
    >>> count[0] = 5
    >>> copied(), read()
    (0, 5)
"""

from __future__ import annotations

import copy
import enum
import functools
import gc
import io
import pickle
import sys
import types
import weakref
from collections.abc import Set as AbstractSet
from operator import attrgetter
from typing import Any

from dispel4py.exceptions.unwinding import reraise_foreign
from dispel4py.object_types import is_of_type
from dispel4py.pickling.item_pickles import dispatch_table

_EMPTY = types.CellType()


def copy_locally(value: Any, unchangeable: AbstractSet[type] = frozenset()) -> Any:
    """Return a copy of an object, of the functions in it as well.

    Args:
        value: the object.
        unchangeable: types whose values cannot change, in addition to Python's own.

    Raises:
        Exception: pickle, or a class that is being copied, has raised.
    """
    try:
        return _Copier(unchangeable).copy(value)
    except BaseException as error:  # a user's __reduce__ may raise anything
        reraise_foreign(error)
        return _DeepCopier(unchangeable).copy(value)


class _Kept:
    """Wraps an object that a copy shares with the original."""

    def __init__(self, value: Any) -> None:
        self.value = value


class _Copier(pickle.Pickler):
    """Pickles an object to be read in this process, at once: some parts are only referenced."""

    def __init__(self, unchangeable: AbstractSet[type]) -> None:
        self._data = io.BytesIO()
        self._buffers: list[pickle.PickleBuffer] = []
        super().__init__(self._data, protocol=5, buffer_callback=self._buffers.append)
        table = dispatch_table()
        if table is not None:
            self.dispatch_table = table
        self._kept: list[Any] = []
        self._unchangeable = unchangeable | _UNCHANGEABLE

    def copy(self, value: Any) -> Any:
        """Return the copy of an object."""
        self.dump(value)
        buffers = [bytearray(buffer.raw()) for buffer in self._buffers]
        reader = _Reader(io.BytesIO(self._data.getvalue()), buffers=buffers)
        reader.kept = self._kept
        return reader.load()

    def persistent_id(self, value: Any) -> Any:
        """Return a reference to an object that is not copied."""
        return self._keep(value.value) if type(value) is _Kept else None

    def _keep(self, value: Any) -> int:
        self._kept.append(value)
        return len(self._kept) - 1

    def reducer_override(self, value: Any) -> Any:
        """Return how to copy an object that pickle would refer to by name."""
        kind = type(value)
        if kind is types.FunctionType:
            return NotImplemented if _is_found_by_name(value) else _reduce_function(value)
        if issubclass(kind, type):
            return self._reduce_class(value)
        reduce = _REDUCERS.get(kind)
        return NotImplemented if reduce is None else reduce(value)

    def _reduce_class(self, kind: Any) -> Any:
        if kind in _SINGLETONS or _is_found_by_name(kind):
            return NotImplemented
        if not _can_change(kind, self._unchangeable, set()):
            return _itself, (_Kept(kind),)
        namespace = dict(vars(kind))
        slots = namespace.get("__slots__")
        names = [slots] if isinstance(slots, str) else list(slots or ())
        for name in (*names, "__dict__", "__weakref__", "__slots__", "_abc_impl"):
            namespace.pop(name, None)
        namespace["__qualname__"] = kind.__qualname__
        for name, value in namespace.items():
            if type(value) not in _METHODS and not _can_change(value, self._unchangeable, set()):
                namespace[name] = _Kept(value)
        made = type(kind), kind.__name__, kind.__bases__, slots, kind.__module__
        return _new_class, made, namespace, None, None, _fill_class


class _DeepCopier(_Copier):
    """A copier that respects the ``__deepcopy__`` of classes.

    Not of objects that cannot be reduced, such as a ``re.Match``: they could not be pickled for
    another process, and what runs in one process should run in several.
    """

    def __init__(self, unchangeable: AbstractSet[type]) -> None:
        super().__init__(unchangeable)
        self._indices: dict[int, tuple[Any, int]] = {}  # by id, with the object

    def persistent_id(self, value: Any) -> Any:
        kind = type(value)
        has_reducer = kind in _REDUCERS or kind in getattr(self, "dispatch_table", ())
        if has_reducer or not hasattr(kind, "__deepcopy__"):
            return super().persistent_id(value)
        if id(value) not in self._indices:
            value.__reduce_ex__(5)
            self._indices[id(value)] = value, self._keep(copy.deepcopy(value))
        return self._indices[id(value)][1]


class _Reader(pickle.Unpickler):
    kept: list[Any]

    def persistent_load(self, index: Any) -> Any:
        return self.kept[index]


def _is_found_by_name(value: Any) -> bool:
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    try:
        return bool(attrgetter(value.__qualname__)(module) is value)
    except AttributeError:
        return False


def _itself(value: Any) -> Any:
    return value


# Functions

_Contents = list[tuple[types.CellType, Any]]


def closed_over(function: types.FunctionType) -> list[tuple[str, Any]]:
    """Return the variables of the closure of a function: name, value."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return [(name, cell.cell_contents) for name, cell in cells if cell != _EMPTY]


def reduce_portably(value: types.FunctionType | types.CellType) -> Any:
    """Reduce a function, for the `reducer_override` of a pickler, to be read in another process.

    The pickler has to be able to pickle code.  Only those globals are included that the code names.
    """
    if isinstance(value, types.CellType):
        return _new_cell, ()
    if _is_found_by_name(value):
        return NotImplemented
    names = {"__name__", *_names_in(value.__code__)} & set(value.__globals__)
    named = {name: value.__globals__[name] for name in sorted(names)}
    new, (_, _, cells), *rest = _reduce_function(value)
    return new, (value.__code__, named, cells), *rest


def _names_in(code: types.CodeType) -> set[str]:
    inner = [_names_in(part) for part in code.co_consts if isinstance(part, types.CodeType)]
    return set(code.co_names).union(*inner)


def _reduce_function(function: types.FunctionType) -> Any:
    cells = function.__closure__ or ()
    # Contents of cells, and all that may refer to the function, are set once it exists.
    contents = [(cell, cell.cell_contents) for cell in cells if cell != _EMPTY]
    known = {name: getattr(function, name) for name in _ATTRIBUTES}
    state = contents, known, vars(function)
    code, variables = _Kept(function.__code__), _Kept(function.__globals__)
    return _new_function, (code, variables, tuple(cells)), state, None, None, _fill_function


_ATTRIBUTES = (
    *("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__kwdefaults__"),
    # Annotations that are evaluated lazily may name objects that do not exist yet.
    "__annotate__" if sys.version_info >= (3, 14) else "__annotations__",
)


def _new_function(
    code: types.CodeType, variables: dict[str, Any], cells: tuple[types.CellType, ...]
) -> types.FunctionType:
    return types.FunctionType(code, variables, closure=cells)


def _fill_function(
    function: types.FunctionType, state: tuple[_Contents, dict[str, Any], dict[str, Any]]
) -> None:
    contents, known, attributes = state
    for cell, content in contents:
        cell.cell_contents = content
    for name, value in known.items():
        setattr(function, name, value)
    vars(function).update(attributes)


def _new_cell() -> types.CellType:
    return types.CellType()


def _new_cached(function: Any, parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def _new_cached_property(function: Any, name: str | None) -> Any:
    made: Any = functools.cached_property(function)
    made.attrname = name
    return made


def _new_weak(value: Any = None) -> Any:
    return weakref.ref(_Kept(None) if value is None else value)


_CACHED = type(functools.lru_cache(_new_cell))

_REDUCERS: dict[type, Any] = {
    types.CellType: lambda cell: (_new_cell, ()),
    types.MethodType: lambda method: (types.MethodType, (method.__func__, method.__self__)),
    _CACHED: lambda value: (_new_cached, (value.__wrapped__, value.cache_parameters())),
    weakref.ref: lambda weak: (_new_weak, () if weak() is None else (weak(),)),
    weakref.WeakKeyDictionary: lambda weak: (weakref.WeakKeyDictionary, (dict(weak),)),
    weakref.WeakValueDictionary: lambda weak: (weakref.WeakValueDictionary, (dict(weak),)),
    # Other objects may refer to the mapping behind it.
    types.MappingProxyType: lambda proxy: (types.MappingProxyType, (*gc.get_referents(proxy),)),
    staticmethod: lambda value: (staticmethod, (value.__func__,)),
    classmethod: lambda value: (classmethod, (value.__func__,)),
    property: lambda value: (property, (value.fget, value.fset, value.fdel, value.__doc__)),
    functools.cached_property: lambda value: (_new_cached_property, (value.func, value.attrname)),
    types.ModuleType: lambda module: (_itself, (_Kept(module),)),
    types.CodeType: lambda code: (_itself, (_Kept(code),)),
}


# Classes

#: Types of members of a class that may refer to the class.
_METHODS = (types.FunctionType, staticmethod, classmethod, property, functools.cached_property)
#: Modules of the standard library whose objects hold data; objects of others are locks and so on.
_DATA_MODULES = {"array", "builtins", "collections", "ctypes", "functools", "io", "types", "_io"}
_SINGLETONS = {type(None), type(NotImplemented), type(Ellipsis)}
_UNCHANGEABLE = frozenset(
    {
        *_SINGLETONS,
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        types.CodeType,
        types.ModuleType,
        types.BuiltinFunctionType,
    }
)


def _can_change(value: Any, unchangeable: AbstractSet[type], seen: set[int]) -> bool:
    """Return whether a local class or function refers to mutable state.

    Other classes are not copied: items of one class should stay items of one class.
    """
    kind = type(value)
    if kind in unchangeable or id(value) in seen:
        return False
    seen.add(id(value))
    if is_of_type(value, type):
        parts = _class_parts(value, kind)
    elif kind in _PARTS:
        parts = _PARTS[kind](value)
    else:
        return _is_mutable(value, kind)
    return any(_can_change(part, unchangeable, seen) for part in parts)


def _class_parts(value: type, kind: type) -> list[Any]:
    if _is_found_by_name(value) or not _is_pythons_own(kind) or kind is enum.EnumType:
        return []  # a class of another metaclass cannot be rebuilt from its parts
    return [*value.__bases__, *_attributes(value)]


def _function_parts(value: types.FunctionType) -> list[Any]:
    if _is_found_by_name(value) or _is_pythons_own(value):
        return []
    parts: list[Any] = [content for _, content in closed_over(value)]
    parts += [value.__defaults__, *(value.__kwdefaults__ or {}).values()]
    parts += vars(value).values()
    return parts


#: Type → the parts of such an object that may refer to mutable state.
_PARTS: dict[type, Any] = {
    types.FunctionType: _function_parts,
    staticmethod: lambda value: [value.__func__],
    classmethod: lambda value: [value.__func__],
    property: lambda value: [value.fget, value.fset, value.fdel],
    functools.cached_property: lambda value: [value.func],
    _CACHED: lambda value: [value.__wrapped__],
    tuple: list,
    frozenset: list,
}


def _is_mutable(value: Any, kind: Any) -> bool:
    if _is_pythons_own(kind) and kind.__module__ not in _DATA_MODULES:
        return False
    if not hasattr(value, "__dict__"):  # such as the field of a named tuple
        return not (hasattr(kind, "__get__") and _is_pythons_own(kind))
    # An object without attributes is only a marker, as `dataclasses` has them.
    return bool(vars(value)) and not is_of_type(value, enum.Enum)


def _attributes(kind: Any) -> list[Any]:
    """Return the attributes of a class, without those of Python and `namedtuple`."""
    internal = ("_abc_impl", "_field_defaults")
    return [
        value
        for name, value in vars(kind).items()
        if is_of_type(value, types.FunctionType)
        or not (name in internal or (name.startswith("__") and name.endswith("__")))
    ]


def _is_pythons_own(value: Any) -> bool:
    """Return whether a function or class belongs to the standard library."""
    names = getattr(value, "__globals__", {"__name__": value.__module__})
    return str(names.get("__name__")).partition(".")[0] in sys.stdlib_module_names


def _new_class(metaclass: Any, name: str, bases: tuple[type, ...], slots: Any, module: str) -> Any:
    namespace = {"__module__": module}
    if slots is not None:
        namespace["__slots__"] = slots
    return metaclass(name, bases, namespace)


def _fill_class(kind: Any, namespace: dict[str, Any]) -> None:
    for name, value in namespace.items():
        setattr(kind, name, value)
