"""The files that a PE still holds when its instance is done: what waits in them is written.

A file that only the PE refers to is closed, as Python does when an object goes, but an error of
that (a full disk) is raised and not swallowed.  A file that something else refers to as well, such
as a thread that still runs or a cycle of objects, is flushed and stays open; `flush_left_open`
flushes it once more at the end of a worker process.
"""

from __future__ import annotations

import gc
import io
import os
import platform
import stat
import sys
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import Any

from dispel4py.core import RUNTIME_ATTRIBUTES

#: How far files are looked for behind a PE's attributes; members of one container; objects in all.
_DEEPEST, _MOST_MEMBERS, _MOST_OBJECTS = 5, 1000, 10_000
#: References to an object that only one variable has, as `sys.getrefcount` counts them.
_OURS = 2
#: Attributes of every PE in which no file of its own is.
_NOT_THE_AUTHORS = {"inputconnections", "outputconnections", *RUNTIME_ATTRIBUTES}
_CONTAINERS = (list, tuple, set, frozenset, deque)
_NO_WAY_ON = (str, bytes, bytearray, int, float, complex, type, ModuleType)

_left_open: weakref.WeakSet[io.IOBase] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):  # not on Windows
    # What waits in a parent's files is the parent's to write, and would be written by each child.
    os.register_at_fork(after_in_child=_left_open.clear)


def held_files(owner: object) -> list[Any]:
    """Return the writable files that can be reached from an object's attributes, outer ones first.

    Files are `io` objects and ZIP archives, in attributes, in containers and objects there, or
    behind a function or a `csv` writer.
    """
    files: list[Any] = []
    seen = {id(owner)}
    layer = [owner]
    for _ in range(_DEEPEST):
        found: list[Any] = []
        for value in layer:
            for member in _members(value):
                if isinstance(member, _NO_WAY_ON) or id(member) in seen:
                    continue
                seen.add(id(member))
                if _is_open_file(member):
                    files.append(member)
                found.append(member)
        if not found or len(seen) > _MOST_OBJECTS:
            break
        layer = found
    return files


def overwritten(files: Iterable[Any]) -> dict[str, str]:
    """Return those of some files that whoever else has them open would overwrite.

    Files that are appended to are not among them, nor are pipes, sockets, terminals and the
    standard streams.

    Returns:
        an identity of the file, the same for all processes → its name.
    """
    found: dict[str, str] = {}
    for file in files:
        with suppress(Exception):  # it has no descriptor, or is of a class of the user's own
            number = file.fileno()
            there = os.fstat(number)
            if number > 2 and stat.S_ISREG(there.st_mode) and not _appends(number):
                place = f"{platform.node()} {there.st_dev} {there.st_ino}"
                found[place] = str(getattr(file, "name", number))
    return found


def _appends(number: int) -> bool:
    try:
        import fcntl
    except ImportError:  # not on this platform
        return False
    return bool(fcntl.fcntl(number, fcntl.F_GETFL) & os.O_APPEND)


def finish_files(files: list[Any]) -> None:
    """Close those files that nothing but the list refers to, and flush the others.

    Args:
        files: the files, outer ones first; empty afterwards.

    Raises:
        Exception: the first error, such as an OSError where the disk is full; all were tried.
    """
    errors: list[Exception] = []
    files.reverse()
    while files:
        file = files.pop()
        try:
            if not _is_open_file(file):
                pass  # an outer one has closed it
            elif sys.getrefcount(file) <= _OURS:
                file.close()
            elif isinstance(file, io.IOBase):
                _left_open.add(file)
                file.flush()
        except Exception as error:  # a class of the user's own may raise anything
            errors.append(error)
    if errors:
        raise errors[0]


def flush_left_open() -> None:
    """Flush what `finish_files` has left open in this process; for the end of a worker process.

    Raises:
        Exception: see `finish_files`.
    """
    files: list[Any] = [*_left_open]
    if files:
        finish_files(files)
        gc.collect()  # closes what was left in a cycle, now that nothing can get lost by its order


def _is_open_file(value: object) -> bool:
    """Return whether something may wait in a file to be written."""
    zipfile = sys.modules.get("zipfile")
    if zipfile is not None and isinstance(value, zipfile.ZipFile):
        return value.fp is not None and value.mode != "r"
    try:
        return isinstance(value, io.IOBase) and not value.closed and value.writable()
    except Exception:  # detached, or of a class of the user's own
        return False


def _members(value: Any) -> Iterator[Any] | Iterable[Any]:
    """Return what an object refers to, as far as files may be there."""
    try:
        if isinstance(value, dict):
            return [*islice(value.values(), _MOST_MEMBERS)]
        if isinstance(value, _CONTAINERS):
            return [*islice(value, _MOST_MEMBERS)]
    except Exception:  # another thread is changing it, or it is of a class of the user's own
        return ()
    if isinstance(value, MethodType | BuiltinMethodType):
        return (value.__self__,)
    if isinstance(value, FunctionType):
        return _enclosed(value)
    if isinstance(value, partial):
        return (value.func, *value.args, *value.keywords.values())
    if type(value).__module__ == "_csv":
        return gc.get_referents(value)
    if isinstance(value, io.IOBase):
        return ()  # closes or flushes what it stands on
    try:
        attributes = islice(vars(value).items(), _MOST_MEMBERS)
        return [part for name, part in attributes if name not in _NOT_THE_AUTHORS]
    except TypeError:  # it has no attributes
        return ()


def _enclosed(function: FunctionType) -> list[Any]:
    """Return what a function has kept of the one around it."""
    found = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # not set yet, or no more
            found.append(cell.cell_contents)
    return found
