"""A log of events that is read while a run writes it: ``--log FILE.jsonl``, or that of a folder."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from d4py_cli.files.locks import is_locked
from d4py_cli.runs.run_folder import EVENTS
from d4py_cli.ui.limits import PageLimits
from dispel4py.errors import OptionError
from dispel4py.events import Event, RunStarted, from_json


@contextmanager
def followed_log(
    place: str, stopped: threading.Event, limits: PageLimits = PageLimits()
) -> Iterator[Iterator[Event]]:
    """Open a log, as a context with its events: those so far, and others as they come.

    Args:
        place: the log, the folder of a run, or one of runs, whose latest is taken.
        stopped: set when no more events are wanted.
        limits: how often to look for more.

    Raises:
        OptionError: there is no such file, it is no log of a run, or the run is over.
    """
    path = _find_log(Path(place))
    try:
        file = path.open("rb")
    except OSError as error:
        raise OptionError(f"cannot read {path}: {error.strerror}") from error
    with file:
        is_over = not is_locked(file)
        lines = _lines(file, stopped, limits)
        try:
            first = from_json(next(lines, b""))
        except ValueError:
            first = None
        if not isinstance(first, RunStarted):
            raise OptionError(f"{path} is no log of a run, or the run has not begun")
        if is_over:
            raise OptionError(
                f"the run of {path} is over; for a page of it: dispel4py report {path}"
            )
        yield _chain(first, lines)


def _find_log(place: Path) -> Path:
    if not place.is_dir():
        return place
    if (place / EVENTS).exists():
        return place / EVENTS
    logs = sorted(place.glob(f"*/{EVENTS}"))  # names of folders begin with date and time
    if not logs:
        raise OptionError(f"{place} is no folder of a run, or of runs (--run-dir)")
    return logs[-1]


def _chain(first: Event, lines: Iterator[bytes]) -> Iterator[Event]:
    yield first
    try:
        yield from map(from_json, lines)
    except ValueError as error:
        raise OptionError(f"the log holds a line that is no event: {error}") from error


def _lines(file: BinaryIO, stopped: threading.Event, limits: PageLimits) -> Iterator[bytes]:
    """Yield whole lines, until the run that writes them has ended."""
    begun = b""
    while True:
        is_written = is_locked(file)  # before the read, which then has all of a run that is over
        for line in file:
            begun += line
            if begun.endswith(b"\n"):
                yield begun
                begun = b""
        if not is_written or stopped.wait(limits.log_seconds):
            return
