"""`RunAccount`: what provenance says of a run, before any format of it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from d4py_cli.report.summary import RunSummary
from dispel4py.events import EdgeDescription, FilesDeclared, PEDescription, RunStarted, SourceFile
from dispel4py.observing.passwords import without_passwords

#: Options that say where something is written or shown.
_NOT_PARAMETERS = (
    *("output", "failures", "provenance", "quiet", "report", "run_dir", "trace", "ui"),
)


@dataclass
class PEAccount:
    """What a PE did.

    Attributes:
        pe: the PE.
        began: its first call, to an interval of the summary.
        ended: its last call.
        about: numbers of calls and failures, and seconds, as text.
        used: addresses of files and other things that it declared to have used.
        generated: addresses of what it declared to have made.
    """

    pe: PEDescription
    began: datetime
    ended: datetime
    about: str
    used: list[str] = field(default_factory=list)
    generated: list[str] = field(default_factory=list)


@dataclass
class RunAccount:
    """What provenance says of a run.

    Attributes:
        title: a line about the run.
        mapping: name of the mapping.
        began: when it began, in UTC.
        ended: when it ended.
        outcome: ``done``, ``failed`` or ``interrupted``.
        message: the error that ended it; "" if none did.
        versions: name → version of Python and d4py.
        host: where the run was started.
        parameters: name → value of each option that was given, of the seed, and of the inputs.
        sources: files of the workflow, the one that was run first.
        pes: the PEs, in the order of the graph.
        edges: the edges of the graph.
    """

    title: str
    mapping: str
    began: datetime
    ended: datetime
    outcome: str
    message: str
    versions: dict[str, str]
    host: str
    parameters: dict[str, str | int | float | bool]
    sources: tuple[SourceFile, ...]
    pes: list[PEAccount]
    edges: tuple[EdgeDescription, ...]

    def source_names(self) -> dict[str, str]:
        """Return path → name of each file of the workflow; those in different folders differ."""
        names: dict[str, str] = {}
        for source in self.sources:
            stem, ending = os.path.splitext(os.path.basename(source.path))
            name, number = f"{stem}{ending}", 1
            while name in names.values():
                number += 1
                name = f"{stem}-{number}{ending}"
            names[source.path] = name
        return names

    def find_pe(self, pe_id: str) -> PEAccount:
        """Return what a PE did.

        Raises:
            KeyError: the graph has no such PE.
        """
        for account in self.pes:
            if account.pe.id == pe_id:
                return account
        raise KeyError(pe_id)


def make_account(
    summary: RunSummary,
    started: RunStarted,
    declared: Iterable[FilesDeclared],
    parameters: dict[str, Any],
    title: str,
) -> RunAccount:
    """Return what provenance says of a run that is over."""
    began = datetime.fromisoformat(started.time_utc)
    ended = summary.ended
    account = RunAccount(
        title=title,
        mapping=started.mapping,
        began=began,
        ended=began + timedelta(seconds=summary.seconds),
        outcome="failed" if ended is None else ended.outcome,
        message="" if ended is None else ended.message,
        versions=dict(started.versions),
        host=started.host,
        parameters={name: _plain(value) for name, value in parameters.items()},
        sources=started.sources,
        pes=[_describe(summary, pe, began) for pe in started.pes],
        edges=started.edges,
    )
    if started.seed is not None:
        account.parameters["seed"] = started.seed
    for declaration in declared:
        pe = account.find_pe(declaration.pe)
        pe.used += [one for one in declaration.used if one not in pe.used]
        pe.generated += [one for one in declaration.generated if one not in pe.generated]
    return account


def given_parameters(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of a run that are set; those that are off or None are left out."""
    return {
        name: value
        for name, value in vars(options).items()
        if value is not None and value is not False and name not in _NOT_PARAMETERS
    }


def _describe(summary: RunSummary, pe: PEDescription, began: datetime) -> PEAccount:
    total = summary.totals()[pe.id]
    row = summary.calls.rows.get(pe.id, [])
    busy = [i for i, calls in enumerate(row) if calls] or [0]
    first, last = busy[0] * summary.calls.width, (busy[-1] + 1) * summary.calls.width
    about = f"{total.calls} calls, {total.failures} failures, {total.seconds:.6g} s in calls"
    return PEAccount(
        pe,
        began + timedelta(seconds=first),
        began + timedelta(seconds=min(last, summary.seconds)),
        about,
    )


def _plain(value: Any) -> str | int | float | bool:
    """Return a value that JSON holds as it is; others become text, passwords are masked."""
    if isinstance(value, str):
        return without_passwords(value)
    if isinstance(value, bool | int | float):
        return value
    text = os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    return without_passwords(text)
