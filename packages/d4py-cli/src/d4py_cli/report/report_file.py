"""`ReportFile`: the page that a run leaves with ``--report``."""

from __future__ import annotations

import os
from tempfile import TemporaryFile

from d4py_cli.files.lines import check_replaceable
from d4py_cli.observing.record import Record
from d4py_cli.report.page import check_ending, check_libraries, write_page
from d4py_cli.report.summary import RunSummary
from dispel4py.errors import OptionError
from dispel4py.events import Event


class ReportFile(Record):
    """An observer that writes a report when the run is over.

    Args:
        target: name of the file.
        option: the option that named it.

    Raises:
        OptionError: the file cannot be written there, or a library is missing.
    """

    def __init__(self, target: str, option: str = "--report") -> None:
        super().__init__()
        check_libraries(option)
        folder = os.path.dirname(os.path.realpath(target))
        check_replaceable(target, option)
        if not os.path.isdir(folder):
            raise OptionError(f"cannot write {target} ({option}): there is no such folder")
        check_ending(target, option)
        try:
            with TemporaryFile(dir=folder):  # as the page will be written beside the file
                pass
        except OSError as error:
            raise OptionError(f"cannot write {target} ({option}): {error.strerror}") from error
        self._target = target
        self._summary = RunSummary()

    def on_event(self, event: Event) -> None:
        """Take an event of the run."""
        super().on_event(event)
        self._summary.on_event(event)

    def write(self) -> None:
        """Write the page."""
        write_page(self._target, self._summary)
