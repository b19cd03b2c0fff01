"""The standard input of a worker process: empty, with a warning at the first read.

Standard input belongs to the process that called `run`.  Workers cannot share it, and a background
process that reads a terminal is stopped.
"""

from __future__ import annotations

import builtins
import io
import os
import sys
from collections.abc import Callable
from types import BuiltinFunctionType
from typing import Any

from dispel4py.core import GenericPE
from dispel4py.logs import RUN_LOG


def empty_standard_input(may_warn: Callable[[], object] = lambda: True) -> None:
    """Replace the standard input of this process and of programs that it starts by an empty one.

    Args:
        may_warn: called at the first read; returns whether to log a warning.
    """
    is_open = sys.__stdin__ is not None  # else descriptor 0 may be any file
    if is_open:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
    empty = io.BufferedReader(_EmptyInput(may_warn, 0 if is_open else None))
    sys.stdin = io.TextIOWrapper(empty, encoding="utf-8")
    if not isinstance(builtins.input, BuiltinFunctionType):
        # A notebook's, which would ask the browser and wait for an answer that does not come.
        builtins.input = _input


class _EmptyInput(io.RawIOBase):
    """An empty file that logs a warning at the first read.

    Args:
        may_warn: see `empty_standard_input`.
        descriptor: descriptor of an empty file; None if there is none.
    """

    name = "<stdin>"
    mode = "rb"

    def __init__(self, may_warn: Callable[[], object], descriptor: int | None) -> None:
        self._may_warn: Callable[[], object] | None = may_warn
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Return the descriptor of an empty file."""
        if self._descriptor is None:
            raise io.UnsupportedOperation("there is no standard input")
        return self._descriptor

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Return 0, and log the warning at the first call."""
        may_warn, self._may_warn = self._may_warn, None
        if may_warn is not None and may_warn():
            RUN_LOG.warning(
                "%s reads standard input, which is empty in worker processes: read it before the"
                " run and pass the data as inputs, or use the mapping `simple`",
                _reader(),
            )
        return 0


def _input(prompt: object = "", /) -> str:
    """Behave as the built-in `input` does where standard input is no terminal."""
    print(prompt, end="", flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError("EOF when reading a line")
    return line.removesuffix("\n")


def _reader() -> str:
    """Return the id of the PE one of whose methods is on the stack."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        names = frame.f_code.co_varnames
        owner = frame.f_locals.get(names[0]) if names else None
        if isinstance(owner, GenericPE):
            return owner.id
    return "a thread of a PE"
