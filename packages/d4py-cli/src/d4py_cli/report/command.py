"""``dispel4py report``: the page of a run, from the log of its events."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from d4py_cli.report.page import check_ending, check_libraries, write_page
from d4py_cli.report.summary import RunSummary
from dispel4py.errors import OptionError
from dispel4py.events import Event, RunStarted, read_events


def describe_report(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the help of the command."""
    parser.description = (
        "A page about a run, from the log of its events: the graph with items and shares of time,\n"
        "workers, rates and queues over time, failures, slowest calls, and what to do about the\n"
        "slowest PE.  The page is one file, which a browser shows without a network.  It is drawn\n"
        "by Bokeh: pip install 'd4py-cli[report]'"
    )
    parser.epilog = "example:\n  dispel4py report run.jsonl -o run.html"
    parser.add_argument("log", metavar="FILE", help="log of events: JSON lines, as --log writes")
    parser.add_argument(
        "-o", "--output", metavar="PAGE", help="write it there (default: FILE, as .html)"
    )


def report(options: argparse.Namespace) -> int:
    """Write the page of a run.

    Raises:
        OptionError: the log cannot be read, or a library is missing.
        RunError: the page cannot be written.
    """
    check_libraries("dispel4py report")
    if options.output is not None:
        check_ending(options.output, "-o")
    summary = RunSummary()
    for event in read_log(options.log):
        summary.on_event(event)
    target = options.output or str(Path(options.log).with_suffix(".html"))
    if os.path.realpath(target) == os.path.realpath(options.log):
        raise OptionError(
            f"the page would replace {options.log}, the log; name another file with -o"
        )
    write_page(target, summary)
    if options.output is None:
        print(f"the page is {target}", file=sys.stderr)
    return 0


def read_log(source: str) -> Iterator[Event]:
    """Yield the events of a log.

    Raises:
        OptionError: there is no such file, or it is no log of one run; the line is named.
    """
    count = 0
    try:
        with open(source, encoding="utf-8") as file:
            for event in read_events(file):
                if isinstance(event, RunStarted) is not (count == 0):
                    raise ValueError(
                        "the first event does not start a run" if count == 0 else "a second run"
                    )
                count += 1
                yield event
    except OSError as error:
        raise OptionError(f"cannot read {source}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"cannot read {source}: it is not a text file (UTF-8)") from error
    except ValueError as error:
        raise OptionError(
            f"{source} is no log of a run: {error}; --log writes one to a file that ends in .jsonl"
        ) from error
    if count == 0:
        raise OptionError(f"{source} is no log of a run: it is empty")
