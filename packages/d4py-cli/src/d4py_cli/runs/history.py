"""``dispel4py history``: the runs of which folders are kept."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d4py_cli.files.locks import is_locked
from d4py_cli.report.environment import command_line
from d4py_cli.report.page import duration
from d4py_cli.report.summary import RunSummary
from d4py_cli.runs import RUN_DIR_VARIABLE
from d4py_cli.runs.run_folder import EVENTS, RUN
from dispel4py.errors import OptionError
from dispel4py.events import read_events

_TITLES = ("run", "state", "time", "calls", "failures", "command")


@dataclass(frozen=True)
class PastRun:
    """A run whose folder is kept.

    Attributes:
        name: name of the folder.
        state: ``running``, ``done``, ``failed``, ``interrupted`` or ``killed``.
        seconds: how long it took; of a run that goes on, or was killed, until its last event.
        calls: ended calls of all PEs.
        failures: calls that failed.
        command: the command line.
    """

    name: str
    state: str
    seconds: float
    calls: int
    failures: int
    command: str


def describe_history(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the help of the command."""
    parser.description = (
        "The runs that were made with --run-dir, the latest last: state, time, calls, failures.\n"
        "A run that ended without a word, as by kill -9, is 'killed'."
    )
    parser.epilog = "example:\n  dispel4py history runs"
    parser.add_argument(
        "run_dir",
        metavar="DIR",
        nargs="?",
        default=os.environ.get(RUN_DIR_VARIABLE),
        help=f"folder of --run-dir (default: the variable {RUN_DIR_VARIABLE})",
    )


def history(
    options: argparse.Namespace,
    print_table: Callable[[Iterable[str], Iterable[Iterable[str]]], None],
) -> int:
    """Print the runs of a folder.

    Raises:
        OptionError: there is no such folder.
    """
    if not options.run_dir:
        raise OptionError(
            "which folder? dispel4py history DIR, or set the variable"
            f" {RUN_DIR_VARIABLE}; runs are kept there with --run-dir DIR"
        )
    rows = (
        (it.name, it.state, duration(it.seconds), f"{it.calls:,}", f"{it.failures:,}", it.command)
        for it in read_runs(options.run_dir)
    )
    print_table(_TITLES, rows)
    return 0


def read_runs(run_dir: str) -> Iterator[PastRun]:
    """Yield the runs of a folder, the latest last; other files there are left out.

    Raises:
        OptionError: there is no such folder.
    """
    try:
        folders = sorted(Path(run_dir).iterdir())
    except OSError as error:
        raise OptionError(f"cannot read {run_dir}: {error.strerror}") from error
    for folder in folders:
        about: Any = None
        with suppress(OSError, ValueError):
            about = json.loads((folder / RUN).read_text(encoding="utf-8"))
        if _is_of_a_run(about):
            yield _describe(folder, about)


def _is_of_a_run(about: Any) -> bool:
    """Return whether a file is one of ours; other programs have a run.json, too."""
    return (
        isinstance(about, dict)
        and isinstance(about.get("schema"), int)
        and isinstance(command := about.get("command"), list)
        and all(isinstance(word, str) for word in command)
        and ("state" not in about or _has_ended(about))
    )


def _has_ended(about: dict[str, Any]) -> bool:
    numbers = about.get("seconds"), about.get("calls"), about.get("failures")
    return isinstance(about["state"], str) and all(
        isinstance(number, int | float) for number in numbers
    )


def _describe(folder: Path, about: dict[str, Any]) -> PastRun:
    command = command_line(about["command"])
    if "state" in about:
        numbers = about["seconds"], about["calls"], about["failures"]
        return PastRun(folder.name, about["state"], *numbers, command)
    summary = RunSummary()
    is_running = False
    with suppress(OSError, ValueError), open(folder / EVENTS, encoding="utf-8") as file:
        is_running = is_locked(file)
        for event in read_events(file):
            summary.on_event(event)
    calls = sum(total.calls for total in summary.totals().values())
    failures = sum(failure.count for failure in summary.failures.values())
    state = "running" if is_running else "killed"
    return PastRun(folder.name, state, summary.seconds, calls, failures, command)
