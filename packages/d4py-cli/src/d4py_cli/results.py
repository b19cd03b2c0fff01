"""Results: the last line of a run, or a file of JSON lines that grows as results come."""

from __future__ import annotations

import binascii
import dataclasses
import json
import math
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TextIO

from dispel4py.errors import OptionError, RunError
from dispel4py.result import RunResult
from dispel4py.standard_output import write_line


class OutputClosedError(Exception):
    """Whoever read standard output has gone away before the run was done."""


def print_outputs(result: RunResult) -> None:
    """Show all results on standard output, as a dict of PE, output and data.

    Raises:
        RunError: they cannot be written.
    """
    try:
        write_line(sys.stdout, f"Outputs: {result.outputs}")
    except BrokenPipeError:
        raise  # `head` and the like
    except OSError as error:
        raise _not_written("standard output", error) from error


class JsonLines(AbstractContextManager["JsonLines"]):
    """Writes each result at once as a line ``{"pe": …, "output": …, "data": …}``.

    Args:
        target: name of a file; ``-`` is standard output.

    Attributes:
        is_closed: nobody reads standard output any more.

    Raises:
        OptionError: the file cannot be written.
    """

    def __init__(self, target: str) -> None:
        self._name = "standard output" if target == "-" else target
        self.is_closed = False
        self._file: TextIO = sys.stdout
        if target != "-":
            try:
                self._file = open(  # noqa: SIM115 - __exit__ closes it
                    target, "w", encoding="utf-8", errors="backslashreplace"
                )
            except OSError as error:
                raise OptionError(f"cannot write {target} (--output): {error.strerror}") from error
        self._ascii = (self._file.encoding or "").lower() != "utf-8"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._file is sys.stdout:
            return
        try:
            self._file.close()
        except OSError as closing:
            if error is None:
                raise _not_written(self._name, closing) from closing

    def write(self, pe_id: str, output: str, data: Any) -> None:
        """Write one result.

        Raises:
            OutputClosedError: nobody reads standard output any more.
            RunError: it cannot be written.
        """
        line = as_json({"pe": pe_id, "output": output, "data": data})
        if self._ascii:
            line = "".join(c if c.isascii() else json.dumps(c)[1:-1] for c in line)
        try:
            write_line(self._file, line)
        except BrokenPipeError as error:
            self.is_closed = True
            raise OutputClosedError from error
        except OSError as error:
            raise _not_written(self._name, error) from error


def flush_output() -> None:
    """Write what PEs have printed in this process.

    Raises:
        RunError: it cannot be written.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RunError(f"cannot write to standard output: {error.strerror}") from error


def _not_written(name: str, error: OSError) -> RunError:
    return RunError(f"cannot write results to {name}: {error.strerror}")


def as_json(value: Any) -> str:
    """JSON for any object; what JSON has no form for becomes the nearest it has.

    Arrays and sets become lists, dates ISO text, bytes base64, NaN and infinities null, and other
    objects their `repr`.
    """
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError):
        # Keys that are no text, numbers that JSON lacks, cycles: rare, so only now looked for.
        return _encode(_plain(value))


def _default(value: Any) -> Any:
    for method in ("tolist", "isoformat"):  # numpy, pandas and what is alike; dates
        if callable(getattr(value, method, None)):
            return getattr(value, method)()
    if isinstance(value, bytes | bytearray | memoryview):
        return binascii.b2a_base64(value, newline=False).decode()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    return repr(value)


_encode = json.JSONEncoder(default=_default, allow_nan=False, ensure_ascii=False).encode


def _plain(value: Any, inside: tuple[int, ...] = ()) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if id(value) in inside or len(inside) > 200:
        return "…"
    inside = (*inside, id(value))
    if isinstance(value, dict):
        return {
            key if isinstance(key, str) else repr(key): _plain(entry, inside)
            for key, entry in value.items()
        }
    if isinstance(value, list | tuple):
        return [_plain(entry, inside) for entry in value]
    return _plain(_default(value), inside)
