"""Files that are open when a worker process is forked, and when it ends.

A worker does not end as a program does, when Python writes what files have buffered and closes
them, whatever refers to them: a global variable of the workflow, or a cycle of objects.  So that is
done here.  What a parent has buffered would be written by its workers as well, and is written
before they are forked.
"""

from __future__ import annotations

import gc
import io
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from traceback import format_exception_only
from typing import Any
from weakref import WeakValueDictionary

from dispel4py.object_types import is_of_type

#: The base of all files, also of those that are made in C.
_FILE: Any = io.IOBase.__mro__[1]
#: Files that write at the position that they share with other processes, and buffer bytes only.
_SEQUENTIAL = (io.TextIOWrapper, io.BufferedWriter)
#: Module and class of what writes a file of its own, which cannot be read unless it is closed.
_WRITERS = (
    ("h5py", "File"),
    ("netCDF4", "Dataset"),
    ("pyarrow.parquet", "ParquetWriter"),
    ("shelve", "Shelf"),
    ("tables", "File"),
    ("tarfile", "TarFile"),
)
#: The same of what has members that are files, and are closed before.
_ARCHIVES = (("zipfile", "ZipFile"),)
#: Where the descriptors of this process are listed.
_DESCRIPTORS = "/proc/self/fd"

#: By `id`: open files, so far as they were looked for; and those of them that a parent has opened.
_noted: WeakValueDictionary[int, Any] = WeakValueDictionary()
_inherited: WeakValueDictionary[int, Any] = WeakValueDictionary()
#: A descriptor, with device and inode of its file.
_Descriptor = tuple[int, int, int]
#: Files that are open, but not as objects of Python: no reason to look again.
_foreign: set[_Descriptor] = set()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=lambda: _inherited.update(_noted))


def note_open_files(*, always: bool = False) -> None:
    """Note the open files that Python's garbage collector knows.

    It is called before these are exempted from collection, since they are not found after that.

    Args:
        always: look for files even if no other regular file is open to be written than before, as
            for one that is sent to a server when it is closed.
    """
    if not (always or _is_any_unknown()):
        return
    kinds = (_FILE, *_classes(_WRITERS), *_classes(_ARCHIVES))
    is_file: dict[type, bool] = {}
    for value in gc.get_objects():
        kind = type(value)
        found = is_file.get(kind)
        if found is None:
            found = is_file[kind] = issubclass(kind, kinds)
        if found:
            _noted[id(value)] = value
    _foreign.clear()
    _foreign.update((_regular_files() or set()) - _files_of_noted())


def write_before_fork() -> None:
    """Write what files have buffered that a process to be forked will inherit.

    What cannot be written is left to the program.
    """
    note_open_files()
    for file in [*_noted.values()]:
        if _is_shared_by_fork(file):
            with suppress(Exception):
                file.flush()


def write_open_files() -> list[str]:
    """Write what noted files have buffered, at the end of a worker process.

    Files that were opened in this process are closed if more than their buffer would be lost:
    compressed files, archives, and those that libraries write.

    Returns:
        A sentence for each file that could not be written.
    """
    files = [*_noted.values()]
    made = [file for file in files if id(file) not in _inherited and _is_own(file)]
    kept = [file for file in files if id(file) in _inherited and _is_shared_by_fork(file)]
    buffered = [file for file in made if is_of_type(file, _FILE)]
    problems: dict[str, str] = {}
    for file in (*buffered, *kept):
        _try(file, file.flush, problems)
    writers, archives = _classes(_WRITERS), _classes(_ARCHIVES)
    in_python = [file for file in buffered if type(file).__module__ not in ("io", "_io")]
    for kinds, files in ((writers, made), ((_FILE,), in_python), (archives, made)):
        for file in files:
            if is_of_type(file, kinds):
                _try(file, file.close, problems)
    for file in buffered:  # what those have written to others
        _try(file, file.flush, problems)
    return [*problems.values()]


def _classes(names: tuple[tuple[str, str], ...]) -> tuple[Any, ...]:
    """Return those classes whose modules are imported."""
    found = [getattr(sys.modules.get(module), name, None) for module, name in names]
    return tuple(kind for kind in found if isinstance(kind, type))


def _try(file: Any, write: Callable[[], object], problems: dict[str, str]) -> None:
    try:
        if not getattr(file, "closed", False):
            write()
    except Exception as error:  # a class of the user's own may raise anything
        name = getattr(file, "name", None) or getattr(file, "filename", None)
        what = "a file" if name is None else f"the file {name!r}"
        reason = format_exception_only(error)[-1].strip()
        problems.setdefault(what, f"cannot write buffered data to {what}: {reason}")


def _is_own(file: Any) -> bool:
    """Return whether a file may have data to write, and is no standard stream."""
    try:
        if not is_of_type(file, _FILE):
            is_open = getattr(file, "isopen", True)  # closed again, some classes raise
            return bool(is_open() if callable(is_open) else is_open)
        if file.closed or not file.writable():
            return False
    except Exception:  # it is detached, or of a class of the user's own
        return False
    try:
        return bool(file.fileno() > 2)
    except Exception:  # it has no descriptor
        return True


def _is_shared_by_fork(file: Any) -> bool:
    """Return whether processes that have a file open can write to it one after the other."""
    if type(file) not in _SEQUENTIAL or not _is_own(file):
        return False
    with suppress(Exception):
        buffer = file.buffer if type(file) is io.TextIOWrapper else file
        return type(buffer) is io.BufferedWriter and bool(_named(file.fileno()))
    return False


def _is_any_unknown() -> bool:
    """Return whether this process can write to a regular file that may not have been noted."""
    files = _regular_files()
    return files is None or bool(files - _foreign - _files_of_noted())


def _regular_files() -> set[_Descriptor] | None:
    """Return the regular files that this process can write to; None where they are not listed."""
    try:
        import fcntl

        descriptors = [int(name) for name in os.listdir(_DESCRIPTORS)]
    except (ImportError, OSError):  # not on this platform
        return None
    found = set()
    for descriptor in descriptors:
        with suppress(OSError):  # that of the list itself
            if descriptor > 2 and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE:
                found |= _named(descriptor)
    return found


def _files_of_noted() -> set[_Descriptor]:
    found = set()
    for file in [*_noted.values()]:
        with suppress(Exception):  # it is closed, has no descriptor, or is of another class
            found |= _named(file.fileno())
    return found


def _named(descriptor: int) -> set[_Descriptor]:
    """Return an open file, unless it is not regular, deleted, or shared memory, as d4py's own."""
    there = os.fstat(descriptor)
    if not stat.S_ISREG(there.st_mode) or not there.st_nlink:
        return set()
    return {(descriptor, there.st_dev, there.st_ino)}
