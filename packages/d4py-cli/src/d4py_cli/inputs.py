"""The inputs of a run, from ``-f``, ``-d`` or ``-i``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from dispel4py.errors import InputError


def read_inputs(options: argparse.Namespace) -> int | dict[str, Any]:
    """What the roots are called with: an object from ``-f`` or else ``-d``, or ``-i`` calls.

    An empty object says nothing, so that ``-i`` holds.

    Raises:
        InputError: the file cannot be read, or it is no JSON object.
    """
    given: dict[str, Any] = {}
    if options.file is not None:
        try:
            text = Path(options.file).read_text(encoding="utf-8-sig")
        except OSError as error:
            raise InputError(f"cannot read {options.file} (-f): {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{options.file} (-f) is not JSON: {error}") from error
        given = _parse(text, f"{options.file} (-f)")
    elif options.data is not None:
        given = _parse(options.data, "-d")
    return given or (1 if options.iter is None else options.iter)


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        line = (text.splitlines() or [""])[min(error.lineno, len(text.splitlines()) or 1) - 1]
        raise InputError(
            f"{name} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}\n"
            f"  {line}\n  {' ' * (error.colno - 1)}^"
        ) from error
    except RecursionError as error:
        raise InputError(f"{name} is nested too deeply") from error
    if not isinstance(given, dict):
        raise InputError(
            f"{name} is no JSON object but {json.dumps(given)[:60]}; it names roots, each with a"
            ' number of calls or a list of objects: {"TestProducer0": 10}'
        )
    return given
