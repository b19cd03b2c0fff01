"""Results of a run: printed as its last line, or written as JSON lines while it runs."""

from __future__ import annotations

import binascii
import dataclasses
import json
import math
import sys
from collections.abc import Mapping
from typing import Any

from d4py_cli.lines import LinesFile, not_written
from dispel4py.errors import RunError
from dispel4py.result import RunResult
from dispel4py.standard_streams.output import write_line


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
        raise not_written("results", "standard output", error) from error


class JsonLines(LinesFile):
    """Writes each result at once as a line ``{"pe": …, "output": …, "data": …}``.

    Args:
        target: name of a file; ``-`` is standard output.

    Raises:
        OptionError: the file cannot be written.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target, "--output", "results")

    def write(self, pe_id: str, output: str, data: Any) -> None:
        """Write one result.

        Raises:
            OutputClosedError: The reader of standard output has closed it.
            RunError: JSON has no form for it, or it cannot be written.
        """
        try:
            line = as_json({"pe": pe_id, "output": output, "data": data})
        except NoFormError as error:
            raise RunError(
                f"--output: {pe_id} wrote an object to output {output!r} that JSON cannot"
                f" represent: {error}; write numbers, strings, lists and dicts instead"
            ) from error
        self.write_line(line)


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


class NoFormError(Exception):
    """JSON has no form for an object.

    Args:
        value: the object.
        reason: why.
    """

    def __init__(self, value: Any, reason: str) -> None:
        kind = type(value)
        super().__init__(f"{kind.__module__}.{kind.__qualname__}: {reason}")


def as_json(value: Any) -> str:
    """JSON for any object; what JSON has no form for becomes the nearest it has.

    Arrays and sets become lists, dates ISO text, bytes base64, NaN and infinities null, and other
    objects their `repr`.

    Raises:
        NoFormError: an object raises an exception when it is asked, or is a table or an array that
            makes no list of itself: what `repr` shows of those leaves most of them out.
    """
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError):
        # Keys that are no text, numbers that JSON lacks, cycles: rare, so only now looked for.
        return _encode(_plain(value))


def _default(value: Any) -> Any:
    try:
        return _nearest(value)
    except NoFormError:
        raise
    except Exception as error:  # a class of the user's may raise anything
        raise NoFormError(value, f"{type(error).__name__}: {error}") from error


def _nearest(value: Any) -> Any:
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
    if any(hasattr(type(value), name) for name in _DATA_METHODS):
        raise NoFormError(value, "it has no tolist(), and its repr() may leave data out")
    return repr(value)


#: Methods by which arrays and tables export their data.
_DATA_METHODS = ("__array__", "__dataframe__", "__arrow_c_stream__")

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
        return {_text_key(key): _plain(entry, inside) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, inside) for entry in value]
    return _plain(_default(value), inside)


def _text_key(key: Any) -> str:
    return key if isinstance(key, str) else repr(key)
