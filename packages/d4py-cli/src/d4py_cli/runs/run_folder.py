"""`RunFolder`: a folder with all about a run: command, versions, events, results, report.

The log of events is locked while the run goes on, which is how `history` tells a run that goes on
from one that was killed.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from d4py_cli.files.lines import LinesFile, naming
from d4py_cli.observing.record import Record
from d4py_cli.report.page import missing_library, write_page
from d4py_cli.report.summary import RunSummary
from d4py_cli.runs.pickled_results import write_results
from dispel4py.errors import OptionError
from dispel4py.events import Event, EventLog
from dispel4py.observing.passwords import without_passwords

_LOGGER = logging.getLogger("dispel4py.cli")
#: Names of the files in the folder.
RUN, EVENTS, STATS, RESULTS, REPORT = (
    *("run.json", "events.jsonl", "stats.json", "results.pkl", "report.html"),
)


class RunFolder(Record):
    """An observer that keeps a folder of a run.

    A run that was refused leaves no folder.

    Args:
        run_dir: the folder of all runs; it is made where there is none.
        output: the file to which results go, or `-` for standard output; None if they go into the
            folder.

    Attributes:
        path: the folder of the run.

    Raises:
        OptionError: the folder cannot be made.
    """

    def __init__(self, run_dir: str, output: str | None = None) -> None:
        super().__init__()
        self._summary = RunSummary()
        self._began = datetime.now(UTC)
        directory = os.getcwd()  # before anything is made: it may have been removed
        self.path = self._make(Path(run_dir))
        self._about: dict[str, Any] = {
            "schema": 1,
            "command": [without_passwords(word) for word in sys.orig_argv],
            "directory": directory,
            "began": self._began.isoformat(timespec="milliseconds"),
            "pid": os.getpid(),
            "output": output if output in (None, "-") else os.path.abspath(str(output)),
        }
        try:
            self._write_json(RUN, self._about)
        except OSError as error:
            with suppress(OSError):
                self.path.rmdir()
            raise OptionError(f"cannot write {self.path} (--run-dir): {error.strerror}") from error
        self._lines = LinesFile(str(self.path / EVENTS), "--run-dir", "events")
        self._log = EventLog(self._lines.write_line)

    def on_event(self, event: Event) -> None:
        """Write an event of the run into its log.

        Raises:
            RunError: it cannot be written.
        """
        super().on_event(event)
        self._summary.on_event(event)
        self._log.on_event(event)

    def write(self) -> None:
        """Write all but the log of events, which is there already."""
        try:
            self._write_end()
        finally:
            self._lines.__exit__(None, None, None)

    def discard(self) -> None:
        """Remove the folder."""
        self._lines.__exit__(SystemExit, SystemExit(), None)  # removes the file, which is empty
        with suppress(OSError):
            (self.path / RUN).unlink()
            self.path.rmdir()

    def _make(self, run_dir: Path) -> Path:
        stamp = self._began.strftime("%Y-%m-%dT%H-%M-%SZ")
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
            for number in range(1, 10_000):
                path = run_dir / (stamp if number == 1 else f"{stamp}-{number}")
                with suppress(FileExistsError):  # of a run that has begun in the same second
                    path.mkdir()
                    return path
        except OSError as error:
            raise OptionError(
                f"cannot make a folder in {run_dir} (--run-dir): {error.strerror}"
            ) from error
        raise OptionError(f"cannot make a folder in {run_dir} (--run-dir): there are too many")

    def _write_end(self) -> None:
        assert self.started is not None
        ended = self._summary.ended
        unknown = "done" if self.is_done else "failed"  # where the log was too slow for its end
        totals = self._summary.totals().values()
        self._about |= {
            "state": unknown if ended is None else ended.outcome,
            "seconds": self._summary.seconds,
            "message": "" if ended is None else ended.message,
            "calls": sum(total.calls for total in totals),
            "failures": sum(failure.count for failure in self._summary.failures.values()),
            "sources": [asdict(source) for source in self.started.sources],
            "packages": _installed(),
        }
        try:
            self._write_what_it_left()
        except BaseException:
            with suppress(OSError):  # the first error is the one to report
                self._write_json(RUN, self._about)
            raise
        self._write_json(RUN, self._about)  # last: it says that the run has ended

    def _write_what_it_left(self) -> None:
        if self.result is not None:
            self._write_json(STATS, asdict(self.result.stats))
            if self._about["output"] is None:
                write_results(self.path / RESULTS, self.result)
        if (missing := missing_library()) is None:
            write_page(self.path / REPORT, self._summary)
        else:
            _LOGGER.warning("%s has no report, which needs %s", self.path, missing)

    def _write_json(self, name: str, values: Mapping[str, Any]) -> None:
        text = json.dumps(values, indent=2, ensure_ascii=False, default=str)
        path, beside = self.path / name, self.path / f"{name}.new"
        try:
            with naming(path):
                beside.write_text(f"{text}\n", encoding="utf-8", errors="backslashreplace")
                beside.replace(path)
        except OSError:
            with suppress(OSError):
                beside.unlink()
            raise


def _installed() -> dict[str, str]:
    """Return the versions of all installed distributions, sorted by name."""
    from importlib.metadata import distributions

    found = {it.name: it.version for it in distributions() if it.name}
    return dict(sorted(found.items(), key=lambda it: it[0].lower()))
