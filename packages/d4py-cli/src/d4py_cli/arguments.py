"""The command line: its options, and the help texts."""

from __future__ import annotations

import argparse
import inspect
import sys
import textwrap
import threading
from collections.abc import Iterable
from typing import Any, NoReturn

from d4py_cli.records.choosing import FORMER_NAMES, add_record_arguments
from dispel4py.errors import OptionError, UnknownMappingError
from dispel4py.files.file_argument import file_argument
from dispel4py.loading import LoadedWorkflow, names_workflow
from dispel4py.registry import (
    FORMER_MAPPINGS,
    KNOWN_DISTRIBUTIONS,
    Command,
    JobCommand,
    JoiningMapping,
    Mapping,
    available,
    available_commands,
    load_command,
    mapping_options,
)

ABOUT = """\
usage: dispel4py MAPPING WORKFLOW [-i N] [-n N] [options] [-- workflow arguments]
       dispel4py mappings
       dispel4py check WORKFLOW [--try N | --migrate]
       dispel4py draw WORKFLOW [-o FILE]
       dispel4py plot-scaling FILE [-o PICTURE]
       dispel4py report FILE [-o PAGE]
       dispel4py history [DIR]
       dispel4py ui [LOG]
       dispel4py COMMAND --help

Run a stream workflow on a mapping: in this process, on all cores, over Redis, under MPI.
WORKFLOW is a Python file or module with a WorkflowGraph in it, or an example's name.

mappings that are installed here:
{mappings}

commands:
  mappings      what each mapping can do, and how to install those that are missing
  check         every problem of a workflow, and which mappings can run it
  draw          the graph of a workflow, as text or as an image
  plot-scaling  a picture of active workers over time, from the trace of a run
  report        a page about a run, from the log of its events
  history       the runs of which folders are kept (--run-dir)
  ui            the live page of a run that goes on in another process
{commands}
examples:
  dispel4py simple pipeline_test -i 10
  dispel4py hybrid_redis split_merge.py -i 100 -n 10
  dispel4py simple my_workflow.py -d '{{"Read0": [{{"path": "a.txt"}}]}}' --output out.jsonl
  dispel4py check my_workflow.py

options:
  -h, --help  show this text; after a mapping or a command, its own help:
              dispel4py simple --help
  --version   show the versions of the installed packages

exit status: 0 success, 1 the workflow failed, 2 wrong usage or a graph that cannot run,
130 interrupted; with --on-error skip, 1 if every call of a PE failed, and with
--fail-on-skipped if any item was skipped
"""

#: Names of the commands that are not a mapping's.
COMMANDS = ("mappings", "check", "draw", "plot-scaling", "report", "history", "ui")


class Parser(argparse.ArgumentParser):
    """A parser that raises `OptionError`, so that all errors are shown alike."""

    def error(self, message: str) -> NoReturn:
        """Raise `OptionError`."""
        raise OptionError(f"{message}; see: {self.prog} --help")

    def like(self, option: str) -> str:
        """Return a hint at the option most similar to an unknown one, or ``""``."""
        word = option.partition("=")[0]
        near = _nearest(word, self._option_string_actions) if len(word) > 2 else ""
        return f"; did you mean {near!r}?" if near else ""


def split_at_dashes(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the arguments before the first ``--``, and the workflow's after it."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def show_about(option: str) -> int:
    """Handle a command line without a mapping or command, and return the exit status.

    Raises:
        OptionError: The option is unknown.
    """
    if option == "--version":
        from importlib.metadata import version

        print(f"dispel4py {version('d4py-cli')} (d4py-core {version('d4py-core')})")
        return 0
    if option in ("-h", "--help", ""):
        names = ", ".join(available()) or "none"
        listed = textwrap.fill(names, 88, initial_indent="  ", subsequent_indent="  ")
        text = ABOUT.format(mappings=listed, commands=_installed_commands())
        print(text, end="", file=sys.stdout if option else sys.stderr)
        return 0 if option else OptionError.exit_status
    raise OptionError(
        f"the mapping comes first, not {option!r}: dispel4py MAPPING WORKFLOW [options];"
        " see: dispel4py --help"
    )


def check_mapping_name(name: str, arguments: list[str]) -> None:
    """Refuse a workflow or a misspelt command in place of a mapping.

    Args:
        name: The first argument.
        arguments: The rest of the command line.

    Raises:
        OptionError: It is one of those; the message has the correct command line.
    """
    mappings = available()
    if name in mappings or name in KNOWN_DISTRIBUTIONS or name in FORMER_MAPPINGS:
        return
    if names_workflow(name):
        import shlex

        is_swapped = bool(arguments) and arguments[0] in mappings
        mapping, *rest = arguments if is_swapped else ["simple", *arguments]
        command = shlex.join(["dispel4py", mapping, name, *rest])
        raise OptionError(f"{name!r} is a workflow, and the mapping comes first: {command}")
    if name == "help":
        raise OptionError("there is no command 'help'; see: dispel4py --help")
    commands = [*COMMANDS, *available_commands()]
    near = _nearest(name, [*commands, *mappings])
    if near in commands:
        raise OptionError(f"there is no command {name!r}; did you mean {near!r}?")


def _nearest(word: str, words: Iterable[str]) -> str:
    """Return the most similar word, or ``""``."""
    from difflib import get_close_matches  # slow to import, and only errors need it

    return next(iter(get_close_matches(word, list(words), n=1)), "")


def _installed_commands() -> str:
    """Return a line for each command that another package brings, with its own summary."""
    lines = []
    for name in available_commands():
        try:
            summary = (inspect.getdoc(type(load_command(name))) or "").partition("\n")[0]
            summary = summary[:1].lower() + summary[1:].removesuffix(".")
        except UnknownMappingError as error:
            summary = str(error).partition("; ")[2] or str(error)
        lines += textwrap.wrap(
            f"  {name:12}  {summary}", 100, subsequent_indent=" " * 16, break_on_hyphens=False
        )
    return "".join(f"{line}\n" for line in lines)


def parse_job(
    name: str, mapping: Mapping, arguments: list[str]
) -> tuple[argparse.Namespace, dict[str, Any]]:
    """Parse what follows the name of a mapping.

    Args:
        name: the mapping's name as given.
        mapping: the mapping.
        arguments: the rest of the command line.

    Returns:
        The options of the command, and the mapping's own options by name.

    Raises:
        OptionError: An option is unknown, or its value is invalid.
    """
    parser = job_parser(name, mapping)
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        if unknown[0].startswith("-"):
            parser.error(f"mapping {name!r} has no option {unknown[0]!r}{parser.like(unknown[0])}")
        remedy = "arguments for the workflow itself come after --"
        if (options.data or "").startswith(("{", "[")):  # the shell has taken it apart
            remedy = "put the JSON of -d into single quotes: -d '{\"ReadFile\": 3}'"
        parser.error(f"unexpected argument {unknown[0]!r} ({remedy})")
    own = {key: getattr(options, key) for key in mapping_options(mapping, {})}
    return options, own


def job_parser(name: str, mapping: Mapping) -> Parser:
    """Return the parser for the arguments after the name of a mapping."""
    example = getattr(mapping, "example", f"dispel4py {name} pipeline_test -i 10 -n 6")
    parser = Parser(
        prog=f"dispel4py {name}",
        usage=f"dispel4py {name} WORKFLOW [-a NAME] [-f FILE | -d JSON] [-i N] [-n N]"
        " [options]\n       [-- workflow arguments]",
        description=about(mapping),
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        conflict_handler="resolve",  # a mapping may say more about an option of ours
    )
    add_workflow(parser, optional=isinstance(mapping, JoiningMapping))
    given = parser.add_argument_group("inputs")
    given.add_argument(
        "-i", "--iter", type=count_of, metavar="N", help="iterations of each root (default: 1)"
    )
    given.add_argument(
        "-d",
        "--data",
        metavar="JSON",
        help="inputs by root, id or name, such as '{\"Read0\": 3}' or"
        ' \'{"Read0": [{"path": "a.txt"}]}\'',
    )
    given.add_argument("-f", "--file", metavar="FILE", help="the same from a file (overrides -d)")
    how = parser.add_argument_group("execution")
    how.add_argument(
        "-n",
        "--num",
        "--num_processes",
        dest="num",
        type=_processes,
        metavar="N",
        help="number of processes, or of threads; auto is one per core",
    )
    how.add_argument(
        "-s",
        "--simple",
        action="store_true",
        help="put neighbouring PEs into one process, if the mapping supports it",
    )
    how.add_argument(
        "--on-error",
        choices=("stop", "skip"),
        default="stop",
        help="when a PE raises an exception: stop (default), or skip the item; skipped items are"
        " counted and listed at the end, and the exit status is 0 unless every call of a PE failed",
    )
    how.add_argument(
        "--share-items",
        action="store_true",
        help="do not copy items between PEs (faster; no PE may change what it got or sent)",
    )
    how.add_argument(
        "--strict",
        action="store_true",
        help="fail if a PE changes its own attributes without declaring that it keeps state"
        " (default: warn)",
    )
    how.add_argument(
        "--seed",
        type=count_of,
        metavar="N",
        help="seed of the random numbers that PEs draw from Python's and NumPy's global"
        " generators (default: a random one, which is shown at the end)",
    )
    add_output_arguments(parser)
    if name in FORMER_NAMES:
        from d4py_cli.records.timed import add_timed_arguments

        add_timed_arguments(parser)
    mapping.add_arguments(parser)
    return parser


def about(part: Mapping | Command | JobCommand) -> str:
    """Return what users read of the docstring of a mapping or a command: all but its arguments."""
    return (inspect.getdoc(type(part)) or "").partition("\n\nArgs:")[0]


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options about output, for every command that runs a workflow."""
    shown = parser.add_argument_group("output")
    shown.add_argument(
        "--output",
        metavar="FILE",
        type=_file,
        help="write the results there: one JSON object per line, at once (.jsonl, or - for standard"
        " output), or all at the end (.csv, .h5, .npz, .parquet, .pkl)",
    )
    shown.add_argument(
        "--failures",
        metavar="FILE",
        type=_file,
        help="write each failure there at once, one JSON object per line, with PE, item, type,"
        " message and traceback; - is standard output",
    )
    shown.add_argument(
        "--fail-on-skipped",
        action="store_true",
        help="exit with status 1 if any item was skipped (--on-error skip)",
    )
    shown.add_argument(
        "--log",
        metavar="FILE",
        type=_file,
        help="write there what happens in the run, and what PEs log: events as JSON lines (.jsonl),"
        " or text; - is standard output",
    )
    shown.add_argument(
        "--progress",
        type=_seconds,
        metavar="SECONDS",
        help="write a line of how far the run is after so many seconds, and then ever more rarely"
        " (default: 10, or a table on a terminal)",
    )
    shown.add_argument(
        "--per-process",
        action="store_true",
        help="show at the end how many items each process has processed",
    )
    shown.add_argument(
        "-q", "--quiet", action="store_true", help="show neither messages of PEs nor progress"
    )
    add_record_arguments(parser)


def add_workflow(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add the arguments of every command that reads a workflow."""
    parser.add_argument(
        "workflow",
        metavar="WORKFLOW",
        nargs="?" if optional else None,
        help="Python file, module or example",
    )
    parser.add_argument(
        "-a", "--attr", metavar="NAME", help="name of the graph, if there are several"
    )


def example_note(loaded: LoadedWorkflow) -> str:
    """Return the note that an example is run because there is no file of its name."""
    return (
        f"there is no file {loaded.target} here; this is the example that ships with d4py"
        f" ({loaded.module.__name__})"
    )


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None


def _file(text: str) -> str:
    file_argument(text)  # refuses an empty name
    return text  # as it was typed, for messages; - is standard output


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, not {text!r}") from None
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"must be more than 0, not {text}")
    return min(seconds, threading.TIMEOUT_MAX)  # inf: never


def _processes(text: str) -> int:
    if text == "auto":
        from dispel4py.processes.cores import usable_cores

        return usable_cores()
    return _whole(text)


def count_of(text: str) -> int:
    """Return a whole number that is at least 0, from the command line."""
    number = _whole(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, not {number}")
    return number
