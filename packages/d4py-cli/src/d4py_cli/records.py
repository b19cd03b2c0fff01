"""What a run leaves beside its results, as options ask for it: report, trace, folder, provenance.

A record is an observer of the run, and a context around it.  Each is imported when it is used.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from d4py_cli.runs import RUN_DIR_VARIABLE

if TYPE_CHECKING:
    from d4py_cli.record import Record
    from d4py_cli.trace import TraceFile

#: Name of a mapping in dispel4py that took times → mapping.
FORMER_NAMES = {"timed_simple": "simple", "timed_multi": "multi", "timed_mpi": "mpi"}


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


def open_records(options: argparse.Namespace) -> Iterator[Record | TraceFile]:
    """Yield the records that the options ask for.

    Raises:
        OptionError: one cannot be written, or a library is missing.
    """
    if options.report is not None:
        from d4py_cli.report.report_file import ReportFile

        yield ReportFile(options.report)
    if options.trace is not None:
        from d4py_cli.trace import TraceFile

        yield TraceFile(options.trace)
    if "timing_dir" in options:
        from d4py_cli.timed import TimedFiles

        yield TimedFiles(options)
    if options.provenance is not None:
        from d4py_cli.provenance.record import ProvenanceRecord

        yield ProvenanceRecord(options.provenance, options)
    if options.ui is not None:
        from d4py_cli.ui.live_page import LivePage

        yield LivePage(options.ui)
    run_dir = options.run_dir or os.environ.get(RUN_DIR_VARIABLE)
    if run_dir:
        from d4py_cli.runs.run_folder import RunFolder

        yield RunFolder(run_dir, options.output)
