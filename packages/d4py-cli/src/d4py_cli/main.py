"""The `dispel4py` command: dispatches the arguments and maps every outcome to an exit status.

0 is success, 1 a failed workflow, 2 wrong usage or a graph that cannot run, 130 an interrupt.
Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence

from d4py_cli.console.results import flush_output
from d4py_cli.exit_statuses import INTERRUPTED
from d4py_cli.files.lines import (
    OutputClosedError,
    is_output_closed,
    is_print_to_closed_output,
    print_message,
)
from d4py_cli.migration.owners import other_owner
from d4py_cli.signals import signals_as_interrupts
from dispel4py.errors import D4pyError, ProcessingError, UsageError, WorkflowLoadError
from dispel4py.processes.descendants import end_own_descendants
from dispel4py.processes.marks import mark_environment
from dispel4py.processes.process_table import boot_ticks
from dispel4py.registry import KNOWN_DISTRIBUTIONS, load_command
from dispel4py.standard_streams.output import write_whole_lines

#: Seconds for exit handlers where threads go on as this process ends.
_EXIT_SECONDS = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments; None for those of this process.

    Returns:
        The exit status.
    """
    if argv is not None:
        return _run(argv)
    # PEs of `simple` run in this process, and what they start has to end with it.
    began_at = boot_ticks()
    mark_environment()
    status = _run(sys.argv[1:])
    if status:
        end_own_descendants(began_at)
        if threading.active_count() > 1:  # a look that imports nothing
            _end_with_threads(status)
    return status


def _end_with_threads(status: int) -> None:
    """End this process, as Python does, but without waiting for threads that PEs have left.

    Exit handlers of libraries may wait for such a thread, too, so they have `_EXIT_SECONDS`.
    """
    from dispel4py.processes.workers.exiting import has_left_threads, run_exit_handlers

    if not has_left_threads():
        return

    def end() -> None:
        time.sleep(_EXIT_SECONDS)
        os._exit(status)

    threading.Thread(target=end, name="d4py-end", daemon=True).start()
    for problem in run_exit_handlers():
        print_message(f"dispel4py: {problem}")
    os._exit(status)


def _run(argv: Sequence[str]) -> int:
    saved_argv = sys.argv
    _prepare_streams()
    try:
        with signals_as_interrupts():
            status = _dispatch(list(argv))
            flush_output()
            return status
    except KeyboardInterrupt:
        _print_message("interrupted")
        return INTERRUPTED
    except SystemExit as error:  # argparse has shown a help text
        return _status_of(error)
    except OutputClosedError:
        return 1
    except D4pyError as error:
        if is_print_to_closed_output(error):
            return 1
        if shown := _traceback_of(error):
            print_message(shown.rstrip("\n"), end="\n\n")
        _print_message(f"error: {error}")
        return error.exit_status
    except Exception as error:
        if isinstance(error, BrokenPipeError) and is_output_closed():
            return 0  # the work is done; the reader, such as `head`, has ended before
        if isinstance(error, FileNotFoundError) and _is_folder_gone():
            _print_message(
                "error: the current folder has been removed; change to one that is there"
            )
            return UsageError.exit_status
        if (refused := _shortage(error)) is not None:
            _print_message(f"error: {refused}")
            return 1
        traceback.print_exc()
        _print_message("error: this is a bug in d4py; please report it with the lines above")
        return 1
    finally:
        sys.argv = saved_argv
        _flush_stdout()


def _dispatch(arguments: list[str]) -> int:
    from d4py_cli import arguments as parsing

    own, workflow_arguments = parsing.split_at_dashes(arguments)
    first = own[0] if own else ""
    if (warning := other_owner()) is not None:
        _print_message(warning)
    if first in parsing.COMMANDS:
        from d4py_cli import commands

        return commands.run_command(first, own[1:], workflow_arguments)
    if not first or first.startswith("-"):
        return parsing.show_about(first)
    # A search through all installed packages takes milliseconds, and `run_job` needs one as well.
    command = None if first in KNOWN_DISTRIBUTIONS else load_command(first)
    if command is not None:
        from d4py_cli import commands

        return commands.run_installed(first, command, own[1:])
    from d4py_cli.job import run_job

    return run_job(first, own[1:], workflow_arguments)


def _status_of(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    _print_message(str(error.code))
    return 1


def _print_message(message: str) -> None:
    print_message(f"dispel4py: {message}")


def _prepare_streams() -> None:
    # Python sets closed streams to None, and print() would then use the other one.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    # A result that the terminal cannot encode must not lose the other results.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    write_whole_lines(at_once=False)  # both streams, and those of workers, may be the same file


def _traceback_of(error: D4pyError) -> str:
    """Return the traceback of the user's code, or "" if the error's message has all of it."""
    if isinstance(error, ProcessingError):
        return error.user_traceback if error.has_frames else ""
    return error.user_traceback if isinstance(error, WorkflowLoadError) else ""


def _is_folder_gone() -> bool:
    """Return whether the current folder has been removed, which many functions of Python need."""
    try:
        os.getcwd()
    except OSError:
        return True
    return False


def _shortage(error: Exception) -> str | None:
    from dispel4py.exceptions.shortages import shortage

    return shortage(error)


def _flush_stdout() -> None:
    """Flush standard output, so that Python reports no closed pipe at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (ValueError, AttributeError):
        pass  # a workflow has closed it, or put an object of its own in its place
