"""The results of a run as its last line, and what PEs have printed."""

from __future__ import annotations

import sys

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
