"""Open files in what is pickled: refused, or carried with their place.

A name and a mode are not an open file: opening it by them begins at the first line, or empties it.
So no pickle of ours carries a file like that.  The state of a PE carries one that is read, with the
place that it is read at; all else refuses it, and says which it is.
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

#: Type of a file → what pickles it, as in `pickle.Pickler.dispatch_table`.
Reducers = dict[type, Callable[[Any], Any]]

#: Attribute of a file that was opened again: where it was found.
_PATH = "_dispel4py_path"
_STANDARD = ("stdin", "stdout", "stderr")


class OpenFileError(pickle.PicklingError):
    """There is an open file in what is pickled, and it cannot be carried."""


class _Text(NamedTuple):
    """What a text file was opened with, beside its name."""

    encoding: str
    errors: str | None
    newline: str | None
    mode: str | None


class _Place(NamedTuple):
    """A file that is read, and where; the numbers tell whether it is still the same one."""

    name: Any
    path: str
    position: int
    inode: int
    size: int
    is_buffered: bool
    text: _Text | None


def _refuse(file: Any) -> Any:
    """Refuse a file."""
    raise OpenFileError(f"{described(file)} is open")


def _carry(file: Any) -> Any:
    """Carry a file that is read, or closed, or a standard stream."""
    for name in _STANDARD:
        if file is getattr(sys, name) or file is getattr(sys, f"__{name}__"):
            return _standard, (name,)
    if file.closed:
        return _closed, (_name_of(file), _mode_of(file), isinstance(file, TextIOWrapper))
    return _opened_again, (_place(file),)


def _place(file: Any) -> _Place:
    buffer = file.buffer if isinstance(file, TextIOWrapper) else file
    raw = buffer.raw if isinstance(buffer, BufferedReader) else buffer
    if not isinstance(raw, FileIO) or raw.writable():
        raise OpenFileError(f"{described(file)} is open, and not only for reading from disk")
    name = raw.name
    there = os.fstat(raw.fileno())
    named = os.path.abspath(os.fsdecode(name)) if isinstance(name, str | bytes) else ""
    path = getattr(raw, _PATH, named)
    if not stat.S_ISREG(there.st_mode) or not _is_at(path, there):
        raise OpenFileError(
            f"{described(file)} is open, and its name does not lead to it: it was removed or"
            " replaced, or is no regular file"
        )
    try:
        position = file.tell()
    except OSError as error:  # "telling position disabled by next() call"
        raise OpenFileError(
            f"{described(file)} is in the middle of a loop over its lines, where Python cannot"
            " say at which position it is; read the lines with readline() instead"
        ) from error
    is_buffered, text = raw is not buffer, None if buffer is file else _text(file)
    return _Place(name, path, position, there.st_ino, there.st_size, is_buffered, text)


def _text(file: TextIOWrapper) -> _Text:
    """Return how a text file is decoded.

    Whether it translates ends of lines is nowhere to be read, so its decoder is asked.
    """
    parts = gc.get_referents(file)
    decoder = next((part for part in parts if isinstance(part, IncrementalNewlineDecoder)), None)
    if decoder is None:
        raise OpenFileError(f"{described(file)} is open with a newline= of its own")
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


def _opened_again(place: _Place) -> Any:
    """Open a file again, at its place.

    Raises:
        RunError: it is not there any more, or is another one.
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
        f"a PE that was reading {place.path!r} cannot go on in this process: {why}; files that PEs"
        " read have to stay as they are during a run, and to be there on every host of it"
    )


def _wrapped(raw: FileIO, place: _Place) -> Any:
    raw.name = place.name
    setattr(raw, _PATH, place.path)  # its name may be relative to where it was opened first
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


def described(file: Any) -> str:
    """Return what a message says of a file: its name and mode."""
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
REFUSED: Reducers = dict.fromkeys(_KINDS, _refuse)
#: Carry those that can be, with their place.
CARRIED: Reducers = dict.fromkeys(_KINDS, _carry)
