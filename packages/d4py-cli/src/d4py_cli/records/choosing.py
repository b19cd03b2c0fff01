"""What a run leaves beside its results, as options ask for it: report, trace, folder, provenance.

A record is an observer of the run, and a context around it.  Each is imported when it is used.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from d4py_cli.files.lines import print_message
from d4py_cli.runs import RUN_DIR_VARIABLE
from dispel4py.errors import RunError
from dispel4py.workflow_graph import WorkflowGraph

if TYPE_CHECKING:
    from d4py_cli.records.guarded_record import GuardedRecord, Written
    from d4py_cli.report.environment import WorkflowSources

#: Options that ask for what takes seconds to write.
_SLOW = ("--report", "--provenance", "--run-dir")
#: Name of a mapping in dispel4py that took times → mapping.
FORMER_NAMES = {"timed_simple": "simple", "timed_multi": "multi", "timed_mpi": "mpi"}


class Workflow(NamedTuple):
    """What a run is of.

    Attributes:
        file: the file that it was loaded from; None if it is no file.
        graph: the graph.
    """

    file: str | None
    graph: WorkflowGraph


def add_record_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that ask for records."""
    group = parser.add_argument_group("what a run leaves")
    group.add_argument(
        "--report",
        metavar="FILE",
        help="write a page about the run there (.html): graph, workers and rates over time,"
        " failures, slowest calls, and what to do about the slowest PE",
    )
    group.add_argument(
        "--trace",
        metavar="FILE",
        help="write a trace there (.json), which Perfetto opens: https://ui.perfetto.dev",
    )
    group.add_argument(
        "--run-dir",
        metavar="DIR",
        help="keep a folder of the run in DIR: command, versions, events, results, report; see:"
        f" dispel4py history (default: the variable {RUN_DIR_VARIABLE})",
    )
    group.add_argument(
        "--provenance",
        metavar="DIR",
        help="describe the run in the folder DIR: workflow, PEs, parameters, results and declared"
        " files, as a Workflow Run RO-Crate and as PROV-JSON of W3C",
    )
    group.add_argument(
        "--ui",
        metavar="PORT",
        nargs="?",
        type=int,
        const=0,
        help="show the page of --report while the run goes on, at an address on this machine that"
        " is printed (default: a free port)",
    )


def open_records(
    options: argparse.Namespace, workflow: Workflow | None, stack: ExitStack
) -> list[GuardedRecord]:
    """Open the records that the options ask for, within a stack.

    Args:
        options: the options of the run.
        workflow: what is run; None for a run that was started elsewhere.
        stack: writes and closes them when it is left.

    Raises:
        OptionError: one cannot be written, or a library is missing.
    """
    opened: list[GuardedRecord] = []
    sources: WorkflowSources | None = None
    for option, record in _make_records(options, workflow):
        from d4py_cli.records.guarded_record import GuardedRecord
        from d4py_cli.report.environment import WorkflowSources

        if sources is None:
            sources = WorkflowSources(*workflow or ())
        opened.append(GuardedRecord(record, option, sources))
        stack.push(opened[-1].__exit__)
    return opened


def announce_writing(records: Iterable[GuardedRecord]) -> None:
    """Say what an interrupted run still writes, if that may take seconds."""
    names = [record.option for record in records if record.option in _SLOW]
    if names:
        print_message(f"writing {', '.join(names)}; another Ctrl-C ends that")


def where_all(records: Iterable[GuardedRecord]) -> str:
    """Say where all results of a run that has failed are, or would be with an option."""
    if any(record.option == "--run-dir" for record in records):
        return "all of them are in the folder of the run (--run-dir)"
    return "--output FILE and --run-dir DIR keep all of a run that ends early"


def check_written(records: Iterable[GuardedRecord]) -> None:
    """Raise an error if a run that is done has left less than it was asked to.

    Raises:
        RunError: something could not be written; a warning has said what.
    """
    if any(record.error is not None for record in records):
        raise RunError(
            "the run is done and its results are complete, but something that was to be written"
            " about it is not; see the warning above"
        )


def _make_records(
    options: argparse.Namespace, workflow: Workflow | None
) -> Iterator[tuple[str, Written]]:
    if options.log:
        from d4py_cli.records.log_file import open_log

        yield "--log", open_log(options.log)
    if options.report is not None:
        from d4py_cli.report.report_file import ReportFile

        yield "--report", ReportFile(options.report)
    if options.trace is not None:
        from d4py_cli.records.trace import TraceFile

        yield "--trace", TraceFile(options.trace)
    if "timing_dir" in options:
        from d4py_cli.records.timed import TimedFiles

        assert workflow is not None
        yield "--timing-dir", TimedFiles(options, workflow.graph)
    if options.provenance is not None:
        from d4py_cli.provenance.record import ProvenanceRecord

        yield "--provenance", ProvenanceRecord(options.provenance, options)
    if options.ui is not None:
        from d4py_cli.ui.live_page import LivePage

        yield "--ui", LivePage(options.ui)
    run_dir = options.run_dir or os.environ.get(RUN_DIR_VARIABLE)
    if run_dir:
        from d4py_cli.runs.run_folder import RunFolder

        yield "--run-dir", RunFolder(run_dir, options.output)
