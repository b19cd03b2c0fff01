"""Pickling of open files: refused, or opened again at the same position.

A file cannot be restored by its name and mode alone: opening it by them starts at the beginning,
or truncates it.  A pickled state of a PE may contain a file that is read, with its position; all
other pickles refuse open files, and name them.  A PE may hold standard streams, which every
process has.
"""

from __future__ import annotations

import gc
import os
import pickle
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from io import (
    BufferedRandom,
    BufferedReader,
    BufferedRWPair,
    BufferedWriter,
    FileIO,
    IncrementalNewlineDecoder,
    TextIOWrapper,
)
from typing import Any, NamedTuple

from dispel4py.errors import RunError

#: Type of a file → its reducer, as in `pickle.Pickler.dispatch_table`.
Reducers = dict[type, Callable[[Any], Any]]

#: Attribute of a file that was opened again: the absolute path.
_PATH = "_dispel4py_path"
#: Names of standard streams in `sys`; a program may have replaced the first three.
_STANDARD = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")


class OpenFileError(pickle.PicklingError):
    """An object that is pickled contains an open file that cannot be pickled."""


class _Text(NamedTuple):
    """The options that a text file was opened with."""

    encoding: str
    errors: str | None
    newline: str | None
    mode: str | None


class _ReadPosition(NamedTuple):
    """A file that is read, its position, and inode and size to check that it is unchanged."""

    name: Any
    path: str
    position: int
    inode: int
    size: int
    is_buffered: bool
    text: _Text | None


def _refuse(file: Any) -> Any:
    """Refuse a file."""
    raise OpenFileError(f"{describe_file(file)} is open")


def _refuse_others(file: Any) -> Any:
    """Reduce a standard stream, and refuse any other file."""
    name = _standard_name(file)
    return _refuse(file) if name is None else (_standard, (name,))


def _reopen(file: Any) -> Any:
    """Reduce a file that is read, or closed, or a standard stream."""
    name = _standard_name(file)
    if name is not None:
        return _standard, (name,)
    if file.closed:
        return _closed, (_name_of(file), _mode_of(file), isinstance(file, TextIOWrapper))
    return _open_again, (_position_of(file),)


def is_standard(file: object) -> bool:
    """Return whether an object is a standard stream of this process."""
    return _standard_name(file) is not None


def _standard_name(file: object) -> str | None:
    return next((name for name in _STANDARD if file is getattr(sys, name)), None)


def _position_of(file: Any) -> _ReadPosition:
    buffer = file.buffer if isinstance(file, TextIOWrapper) else file
    raw = buffer.raw if isinstance(buffer, BufferedReader) else buffer
    if not isinstance(raw, FileIO) or raw.writable():
        raise OpenFileError(f"{describe_file(file)} is open, and not only for reading from disk")
    name = raw.name
    there = os.fstat(raw.fileno())
    named = os.path.abspath(os.fsdecode(name)) if isinstance(name, str | bytes) else ""
    path = getattr(raw, _PATH, named)
    if not stat.S_ISREG(there.st_mode) or not _is_at(path, there):
        raise OpenFileError(
            f"{describe_file(file)} is open, and its name does not lead to it: it was removed or"
            " replaced, or is no regular file"
        )
    try:
        position = file.tell()
    except OSError as error:  # "telling position disabled by next() call"
        raise OpenFileError(
            f"{describe_file(file)} is in the middle of a loop over its lines, where Python cannot"
            " say at which position it is; read the lines with readline() instead"
        ) from error
    is_buffered, text = raw is not buffer, None if buffer is file else _text(file)
    return _ReadPosition(name, path, position, there.st_ino, there.st_size, is_buffered, text)


def _text(file: TextIOWrapper) -> _Text:
    """Return the options of a text file.

    No attribute says whether a file translates line ends, so its decoder is tried.
    """
    parts = gc.get_referents(file)
    decoder = next((part for part in parts if isinstance(part, IncrementalNewlineDecoder)), None)
    if decoder is None:
        raise OpenFileError(f"{describe_file(file)} is open with a newline= of its own")
    before = decoder.getstate()
    decoder.reset()
    translated = decoder.decode("\r\n".encode(file.encoding), final=True)
    decoder.setstate(before)
    newline = "" if "\r" in translated else None
    return _Text(file.encoding, file.errors, newline, getattr(file, "mode", None))


def _is_at(path: str, there: os.stat_result) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.stat(path), there)
    return False


def _open_again(place: _ReadPosition) -> Any:
    """Open a file again, at the same position.

    Raises:
        RunError: the file is gone, or is another one now.
    """
    why = "it is another file now"
    try:
        raw = FileIO(place.path)
        there = os.fstat(raw.fileno())
        is_same = there.st_ino == place.inode
        if is_same and there.st_size >= place.size:
            return _wrapped(raw, place)
        raw.close()
        if is_same:
            why = "it is shorter now"
    except OSError as error:
        why = error.strerror or str(error)
    raise RunError(
        f"a PE that was reading {place.path!r} cannot continue in this process: {why}; files that"
        " PEs read must not change during a run, and must exist on all hosts of it"
    )


def _wrapped(raw: FileIO, place: _ReadPosition) -> Any:
    raw.name = place.name
    setattr(raw, _PATH, place.path)  # its name may be relative to another directory
    if not place.is_buffered:
        raw.seek(place.position)
        return raw
    buffer = BufferedReader(raw)
    if place.text is None:
        buffer.seek(place.position)
        return buffer
    encoding, errors, newline, mode = place.text
    text = TextIOWrapper(buffer, encoding, errors, newline)
    if mode is not None:
        text.mode = mode  # type: ignore[misc]
    text.seek(place.position)
    return text


def _standard(name: str) -> Any:
    """Return a standard stream of this process."""
    return getattr(sys, name)


def _closed(name: Any, mode: str, is_text: bool) -> Any:
    """Return a closed file of that name."""
    raw = FileIO(os.devnull)
    raw.name = name
    file: Any = raw
    if is_text:
        file = TextIOWrapper(BufferedReader(raw), "utf-8")
        file.mode = mode
    file.close()
    return file


def describe_file(file: Any) -> str:
    """Return name and mode of a file, for a message."""
    name, mode = _name_of(file), _mode_of(file)
    if name is None:
        return "a file"
    return f"the file {name!r}" + (f" (mode {mode!r})" if mode else "")


def _name_of(file: Any) -> Any:
    return getattr(file, "name", None)


def _mode_of(file: Any) -> str:
    mode = getattr(file, "mode", None) or getattr(getattr(file, "buffer", None), "mode", "")
    return mode if isinstance(mode, str) else ""


_KINDS = (TextIOWrapper, BufferedReader, BufferedWriter, BufferedRandom, BufferedRWPair, FileIO)
#: Refuse every open file.
REFUSE_FILES: Reducers = dict.fromkeys(_KINDS, _refuse)
#: Refuse every open file that is no standard stream.
KEEP_STANDARD: Reducers = dict.fromkeys(_KINDS, _refuse_others)
#: Open files that are read again at their position, and refuse those that are written.
REOPEN_FILES: Reducers = dict.fromkeys(_KINDS, _reopen)
