"""`RunResult.report`, which core finds by its entry point."""

from __future__ import annotations

import os
from collections.abc import Iterator

from d4py_cli.report.environment import WorkflowSources
from d4py_cli.report.page import check_ending, check_libraries, write_page
from d4py_cli.report.summary import RunSummary
from dispel4py.events import (
    Event,
    Failure,
    InstanceReport,
    Message,
    PEDescription,
    RunEnded,
    RunStarted,
    Scaled,
)
from dispel4py.result import RunResult


def write_report(result: RunResult, target: str | os.PathLike[str]) -> None:
    """Write the page of a run.

    Args:
        result: the result of the run; what it does not hold is not on the page.
        target: name of the file.

    Raises:
        OptionError: a library is missing.
        RunError: the file cannot be written.
    """
    check_libraries("a report")
    check_ending(os.fspath(target), "report")
    summary = RunSummary()
    sources = WorkflowSources()
    for event in result.events or _events_of(result):
        summary.on_event(sources.add_to(event))
    write_page(target, summary)


def _events_of(result: RunResult) -> Iterator[Event]:
    """Yield events that have the totals of a run of which no events were kept."""
    stats = result.stats
    end = stats.seconds
    pes = dict.fromkeys(entry.pe_id for entry in stats.instances)
    described = tuple(PEDescription(pe, pe, "", 1, is_root=False) for pe in pes)
    yield RunStarted(0.0, "", stats.mapping, stats.processes, described, (), {}, stats.seed)
    for number, entry in enumerate(stats.instances):
        yield InstanceReport(end, entry.rank, entry.pe_id, number, entry.items, {}, entry.seconds)
    for point in stats.scaling:
        yield Scaled(point.seconds, point.active, point.backlog)
    for count in result.failure_counts:
        kind = count.pe_id, 0, count.phase, count.exception_type
        yield Failure(end, *kind, count.first, count=count.failures)
    for text in (*stats.notes, "Totals only: run(..., record=True) keeps what a report shows."):
        yield Message(end, "WARNING", text)
    yield RunEnded(end, "done", end)
