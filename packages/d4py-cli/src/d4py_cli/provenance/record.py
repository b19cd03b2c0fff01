"""`ProvenanceRecord`: the crate that a run leaves with ``--provenance``."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from d4py_cli.files.locks import OpenFolder, lock_for_writing
from d4py_cli.observing.record import Record
from d4py_cli.provenance.account import given_parameters, make_account
from d4py_cli.report.environment import command_line
from d4py_cli.report.summary import RunSummary
from d4py_cli.runs.pickled_results import write_results
from dispel4py.errors import OptionError, RunError
from dispel4py.events import Event, FilesDeclared


class ProvenanceRecord(Record):
    """An observer that describes a run in a folder when it is over.

    Args:
        target: the folder, which is made; it may be there if it is empty.
        options: options of the run.

    Raises:
        OptionError: the folder cannot be made or is not empty, or a library is missing.
    """

    def __init__(self, target: str, options: argparse.Namespace) -> None:
        super().__init__()
        for name in ("rocrate", "prov"):
            if find_spec(name) is None:
                raise OptionError(
                    f"--provenance needs {name}, which is not installed: run"
                    " pip install 'd4py-cli[provenance]'"
                )
        self._path, self._options = Path(target), options
        self._is_new = not self._path.exists()
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            self._folder = OpenFolder(self._path)
            lock_for_writing(self._folder, target, "--provenance")
            if any(self._path.iterdir()):
                self._folder.close()
                raise OptionError(
                    f"cannot write {target} (--provenance): the folder is not empty; choose another"
                )
        except OSError as error:
            raise OptionError(f"cannot write {target} (--provenance): {error.strerror}") from error
        self._summary = RunSummary()
        self._declared: list[FilesDeclared] = []

    def on_event(self, event: Event) -> None:
        """Take an event of the run."""
        super().on_event(event)
        if isinstance(event, FilesDeclared):
            self._declared.append(event)
        self._summary.on_event(event)

    def write(self) -> None:
        """Write the crate.

        Raises:
            RunError: it cannot be written, or the workflow has no file.
        """
        try:
            self._write()
        finally:
            self._folder.close()

    def _write(self) -> None:
        from d4py_cli.provenance.crate import write_crate
        from d4py_cli.provenance.prov_document import write_prov

        assert self.started is not None
        if not self.started.sources:
            raise RunError(
                f"cannot write {self._path} (--provenance): no file of the workflow is here, which"
                " a crate has to hold"
            )
        account = make_account(
            self._summary,
            self.started,
            self._declared,
            given_parameters(self._options),
            command_line(self.started.command),
        )
        before = {*self._path.iterdir()}  # what PEs have written there
        others = [self._path / "prov.json"]
        try:
            results = self._results()
            write_prov(others[0], account, results)
            write_crate(self._path, account, results, others)
        except OSError as error:
            for path in {*self._path.iterdir()} - before:  # a part is no crate
                with suppress(OSError):
                    path.unlink()
            raise RunError(f"cannot write {self._path}: {error.strerror}") from error

    def discard(self) -> None:
        """Remove the folder, if it is new."""
        if self._is_new:
            self._path.rmdir()
        self._folder.close()

    def _results(self) -> list[Path]:
        output = self._options.output
        if output == "-":
            return []  # they were printed, and are not kept
        if output is not None:
            return [Path(output)] if os.path.isfile(output) else []
        if self.result is None:
            return []
        path = self._path / "results.pkl"
        return [path] if write_results(path, self.result) else []
