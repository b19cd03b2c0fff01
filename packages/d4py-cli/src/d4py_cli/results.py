"""The results of a run as its last line, and what PEs have printed."""

from __future__ import annotations

import sys
from contextlib import suppress

from d4py_cli.lines import not_written
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


def print_outputs_so_far(error: BaseException) -> None:
    """Show the results that a run had before it failed or was interrupted, if there are any."""
    result: RunResult | None = getattr(error, "result", None)
    if result is not None and result.outputs:
        with suppress(OSError):  # the error of the run is the one to report
            write_line(sys.stdout, f"Outputs so far: {result.outputs}")


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
