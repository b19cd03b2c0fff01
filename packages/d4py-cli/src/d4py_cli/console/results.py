"""The results of a run as its last line, and what PEs have printed."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from d4py_cli.files.lines import not_written, print_message
from d4py_cli.output.refusals import ANYTHING
from dispel4py.errors import RunError, describe_exception, shorten
from dispel4py.result import RunResult
from dispel4py.standard_streams.output import write_line

#: How many results of a run that has failed are shown on a terminal, and in how many characters.
_SHOWN_ITEMS, _SHOWN_CHARACTERS = 20, 4000


def print_outputs(result: RunResult) -> None:
    """Show all results on standard output, as a dict of PE, output and data.

    Raises:
        RunError: they cannot be written, or some have no text.
    """
    text, problem = _as_text(result.outputs)
    try:
        write_line(sys.stdout, f"Outputs: {text}")
    except BrokenPipeError:
        raise  # `head` and the like
    except OSError as error:
        raise not_written("results", "standard output", error) from error
    if problem:
        raise RunError(problem)


def print_outputs_so_far(error: BaseException, where_all: str) -> None:
    """Show the results that a run had before it failed or was interrupted, if there are any.

    On a terminal, where many would take minutes and push all else out of sight, only the first.

    Args:
        error: of the run.
        where_all: says where all results are, or would be.
    """
    result: RunResult | None = getattr(error, "result", None)
    if result is None or not result.outputs:
        return
    count = sum(len(items) for of_pe in result.outputs.values() for items in of_pe.values())
    text, is_terminal = "", _is_terminal(sys.stdout)
    if count <= _SHOWN_ITEMS or not is_terminal:
        text, _ = _as_text(result.outputs)
    is_whole = bool(text) and (len(text) <= _SHOWN_CHARACTERS or not is_terminal)
    with suppress(OSError):  # the error of the run is the one to report
        write_line(
            sys.stdout, f"Outputs so far: {text if is_whole else _beginning(result.outputs)}"
        )
    if not is_whole:
        of_all = f", of {count:,} results" if count > 1 else ""
        print_message(f"that is shortened{of_all}; {where_all}")


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
    except (ValueError, AttributeError):
        pass  # a workflow has closed it, or put an object of its own in its place


def _is_terminal(stream: Any) -> bool:
    with suppress(Exception):  # a class of the user's own
        return bool(stream.isatty())
    return False


def _beginning(outputs: dict[str, dict[str, list[Any]]]) -> str:
    """Return the first results of each output as text, each shortened."""
    most = max(1, _SHOWN_ITEMS // sum(map(len, outputs.values())))
    shown: dict[str, dict[str, list[_Text]]] = {}
    for pe_id, of_pe in outputs.items():
        for output, items in of_pe.items():
            texts = [_Text(shorten(item)) for item in items[:most]]
            if len(items) > most:
                texts.append(_Text(f"… {len(items) - most:,} more"))
            shown.setdefault(pe_id, {})[output] = texts
    return str(shown)


def _as_text(outputs: dict[str, dict[str, list[Any]]]) -> tuple[str, str]:
    """Return results as text, and a sentence about those that have none; "" if all have.

    A class of the user's may raise in `repr`, and Python refuses numbers of thousands of digits.
    """
    with suppress(Exception):
        return str(outputs), ""
    problem = ""
    shown: dict[str, dict[str, list[_Text]]] = {}
    for pe_id, of_pe in outputs.items():
        for output, items in of_pe.items():
            texts = shown.setdefault(pe_id, {}).setdefault(output, [])
            for item in items:
                try:
                    texts.append(_Text(repr(item)))
                except Exception as error:
                    texts.append(_Text(shorten(item)))
                    problem = problem or (
                        f"{pe_id} wrote to output {output!r} what cannot be shown as text"
                        f" ({describe_exception(error)}); {ANYTHING} (--output)"
                    )
    return str(shown), problem


class _Text(str):
    """Text that is shown without quotes."""

    __slots__ = ()
    __repr__ = str.__str__
