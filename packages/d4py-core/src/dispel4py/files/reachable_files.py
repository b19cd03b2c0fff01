"""The open files that can be reached from a PE, which are written out when its instance is done.

A file that only the PE refers to is closed, and an error of that (a full disk) is raised.  A file
that something else refers to as well, such as a running thread or a cycle of objects, is flushed
and stays open; see `files.unwritten_files` for the end of a worker process.
"""

from __future__ import annotations

import gc
import io
import os
import stat
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import Any

from dispel4py.core import RUNTIME_ATTRIBUTES
from dispel4py.host import host_name
from dispel4py.object_types import is_of_type

#: Limits of the search: depth below a PE's attributes; members per container; objects in all.
_MAX_DEPTH, _MAX_MEMBERS, _MAX_OBJECTS = 5, 1000, 10_000
#: Attributes of every PE that hold no files.
_RUN_ATTRIBUTES = {"inputconnections", "outputconnections", *RUNTIME_ATTRIBUTES}
_CONTAINERS = (list, tuple, set, frozenset, deque)
_CALLABLES = (MethodType, BuiltinMethodType, FunctionType, partial)
_LEAVES = (str, bytes, bytearray, int, float, complex, type, ModuleType)


def _count_of_one_reference() -> int:
    """Return `sys.getrefcount` of an object that only one variable refers to.

    It is 2 up to Python 3.13, where the argument counts, and 1 since.
    """
    objects = [object()]
    only = objects.pop()
    return sys.getrefcount(only)


_ONE_REFERENCE = _count_of_one_reference()


def reachable_files(owner: object) -> list[Any]:
    """Return the writable files that can be reached from an object's attributes, outer ones first.

    Files are `io` objects and ZIP archives, in attributes, in containers and objects there, or
    in the closure of a function or in a `csv` writer.
    """
    files: list[Any] = []
    seen = {id(owner)}
    layer = [owner]
    for _ in range(_MAX_DEPTH):
        found: list[Any] = []
        for value in layer:
            for member in _members(value):
                if is_of_type(member, _LEAVES) or id(member) in seen:
                    continue
                seen.add(id(member))
                if _is_open_file(member):
                    files.append(member)
                found.append(member)
        if not found or len(seen) > _MAX_OBJECTS:
            break
        layer = found
    return files


def overwritable(files: Iterable[Any]) -> dict[str, str]:
    """Return those files that another process which has them open too would overwrite.

    Files opened for appending are not among them, nor are pipes, sockets, terminals and the
    standard streams.

    Returns:
        An identity of each file, the same in all processes → its name.
    """
    found: dict[str, str] = {}
    for file in files:
        with suppress(Exception):  # it has no descriptor, or is of a class of the user's own
            number = file.fileno()
            there = os.fstat(number)
            if number > 2 and stat.S_ISREG(there.st_mode) and not _appends(number):
                place = f"{host_name()} {there.st_dev} {there.st_ino}"
                found[place] = str(getattr(file, "name", number))
    return found


def _appends(number: int) -> bool:
    try:
        import fcntl
    except ImportError:  # not on this platform
        return False
    return bool(fcntl.fcntl(number, fcntl.F_GETFL) & os.O_APPEND)


def close_or_flush(files: list[Any]) -> None:
    """Close the files that only the list refers to, and flush the others.

    Args:
        files: the files, outer ones first; empty afterwards.

    Raises:
        Exception: the first error, such as an OSError of a full disk; all files were tried.
    """
    errors: list[Exception] = []
    files.reverse()
    while files:
        file = files.pop()
        try:
            if not _is_open_file(file):
                pass  # closed with an outer one
            elif sys.getrefcount(file) <= _ONE_REFERENCE:
                file.close()
            elif isinstance(file, io.IOBase):
                file.flush()
        except Exception as error:  # a class of the user's own may raise anything
            errors.append(error)
    if errors:
        raise errors[0]


def _is_open_file(value: object) -> bool:
    """Return whether an object is an open file that may have buffered data."""
    zipfile = sys.modules.get("zipfile")
    try:  # not by the type: a proxy of a file is to be flushed, too
        if zipfile is not None and isinstance(value, zipfile.ZipFile):
            return value.fp is not None and value.mode != "r"
        return isinstance(value, io.IOBase) and not value.closed and value.writable()
    except Exception:  # detached, of a class of the user's own, or a proxy of what is not there
        return False


def _members(value: Any) -> Iterator[Any] | Iterable[Any]:
    """Return the objects to search that an object refers to."""
    try:
        if is_of_type(value, dict):
            return [*islice(value.values(), _MAX_MEMBERS)]
        if is_of_type(value, _CONTAINERS):
            return [*islice(value, _MAX_MEMBERS)]
    except Exception:  # another thread is changing it, or it is of a class of the user's own
        return ()
    if is_of_type(value, _CALLABLES):
        return _bound_values(value)
    if type(value).__module__ == "_csv":
        return gc.get_referents(value)
    if is_of_type(value, io.IOBase):
        return ()  # closes or flushes the file below it
    try:
        attributes = islice(vars(value).items(), _MAX_MEMBERS)
        return [part for name, part in attributes if name not in _RUN_ATTRIBUTES]
    except Exception:  # it has no attributes, or is a proxy of what is not there
        return ()


def _bound_values(value: Any) -> Iterable[Any]:
    """Return the objects that a method, a function or a partial call refers to."""
    if is_of_type(value, FunctionType):
        return _closure_values(value)
    if is_of_type(value, partial):
        return (value.func, *value.args, *value.keywords.values())
    return (value.__self__,)


def _closure_values(function: FunctionType) -> list[Any]:
    """Return the values in a function's closure."""
    found = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # the cell is empty
            found.append(cell.cell_contents)
    return found
