"""The command line: what may stand on it, and the help texts."""

from __future__ import annotations

import argparse
import inspect
import shlex
import sys
import textwrap
from collections.abc import Iterable
from typing import Any, NoReturn

from dispel4py.errors import OptionError
from dispel4py.loading import LoadedWorkflow, names_workflow
from dispel4py.registry import (
    KNOWN_DISTRIBUTIONS,
    JoiningMapping,
    Mapping,
    available,
    available_commands,
    mapping_options,
)

ABOUT = """\
usage: dispel4py MAPPING WORKFLOW [-i N] [-n N] [options] [-- workflow arguments]
       dispel4py mappings
       dispel4py check WORKFLOW [--try N]
       dispel4py draw WORKFLOW [-o FILE]
       dispel4py plot-scaling FILE [-o PICTURE]
{own_usage}
Run a stream workflow on a mapping: in this process, on all cores, over Redis, under MPI.
WORKFLOW is a Python file or module with a WorkflowGraph in it, or an example's name.

mappings that are installed here:
{mappings}

commands:
  mappings      what each mapping can do, and how to install those that are missing
  check         every problem of a workflow, and which mappings can run it
  draw          the graph of a workflow, as text or as an image
  plot-scaling  a picture of active workers over time, from the trace of a run
{own_commands}
examples:
  dispel4py simple pipeline_test -i 10
  dispel4py hybrid_redis split_merge.py -i 100 -n 10
  dispel4py simple my_workflow.py -d '{{"Read0": [{{"path": "a.txt"}}]}}' --output out.jsonl
  dispel4py check my_workflow.py

options:
  -h, --help  this text; with a mapping or a command in front, all about that one:
              dispel4py simple --help
  --version   the versions of what is installed

exit status: 0 done, 1 the workflow failed, 2 wrong usage or a graph that cannot run,
130 interrupted; under --on-error skip 1 if no item got through one of the PEs, and with
--fail-on-skipped if anything was skipped
"""

#: Names of the commands that are not a mapping's.
COMMANDS = ("mappings", "check", "draw", "plot-scaling")
#: Shown in the help of a mapping; `pipeline_test` runs on all of them.
EXAMPLES = {
    "simple": "dispel4py simple pipeline_test -i 10",
    "hybrid_redis": "dispel4py hybrid_redis split_merge.py -i 100 -n 10",
    "redis": "dispel4py redis split_merge.py -i 100 -n 10",
}


#: Options and summary of commands that are not ours; to ask them would mean to import them.
_BROUGHT = {
    "resume": (
        "--redis-url URL [--key-file FILE] [RUN]",
        "take up a run on a Redis server whose driver has died",
    ),
    "runs": ("--redis-url URL", "the runs on a Redis server, with their progress and workers"),
    "worker": (
        "--redis-url URL [--run ID] [-n N]",
        "take part in a run on a Redis server, with processes of this host",
    ),
}


class Parser(argparse.ArgumentParser):
    """Raises what is wrong, so that all errors look alike."""

    def error(self, message: str) -> NoReturn:
        """Raise `OptionError`."""
        raise OptionError(f"{message}; see: {self.prog} --help")

    def like(self, option: str) -> str:
        """Return a hint at the option that is most like one that there is not, or ``""``."""
        word = option.partition("=")[0]
        near = _nearest(word, self._option_string_actions) if len(word) > 2 else ""
        return f"; did you mean {near!r}?" if near else ""


def split_at_dashes(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What stands before the first ``--``, and what behind it, which is the workflow's own."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def show_about(option: str) -> int:
    """Answer a command line that has no mapping and no command; returns the exit status.

    Raises:
        OptionError: an option that there is not.
    """
    if option == "--version":
        from importlib.metadata import version

        print(f"dispel4py {version('d4py-cli')} (d4py-core {version('d4py-core')})")
        return 0
    if option in ("-h", "--help", ""):
        names = ", ".join(available()) or "none"
        listed = textwrap.fill(names, 88, initial_indent="  ", subsequent_indent="  ")
        text = ABOUT.format(mappings=listed, **_about_installed())
        print(text, end="", file=sys.stdout if option else sys.stderr)
        return 0 if option else OptionError.exit_status
    raise OptionError(
        f"the mapping comes first, not {option!r}: dispel4py MAPPING WORKFLOW [options];"
        " see: dispel4py --help"
    )


def check_mapping_name(name: str, arguments: list[str]) -> None:
    """Check that neither a workflow nor a command with a slip of the pen stands for a mapping.

    Args:
        name: what stands there.
        arguments: the rest of the command line.

    Raises:
        OptionError: one does; the message has what would do.
    """
    mappings = available()
    if name in mappings or name in KNOWN_DISTRIBUTIONS:
        return
    if names_workflow(name):
        is_swapped = bool(arguments) and arguments[0] in mappings
        mapping, *rest = arguments if is_swapped else ["simple", *arguments]
        command = shlex.join(["dispel4py", mapping, name, *rest])
        raise OptionError(f"{name!r} is a workflow, and the mapping comes first: {command}")
    commands = [*COMMANDS, *available_commands()]
    near = _nearest(name, [*commands, *mappings])
    if near in commands:
        raise OptionError(f"there is no command {name!r}; did you mean {near!r}?")


def _nearest(word: str, words: Iterable[str]) -> str:
    """Return what is most like a word, or ``""``."""
    from difflib import get_close_matches  # slow to import, and only errors need it

    return next(iter(get_close_matches(word, list(words), n=1)), "")


def _about_installed() -> dict[str, str]:
    """What the commands are called, and do, that mappings' packages bring."""
    usage, commands = "", ""
    for name in available_commands():
        options, summary = _BROUGHT.get(name, ("[options]", f"see: dispel4py {name} --help"))
        usage += f"       dispel4py {name} {options}\n"
        commands += f"  {name:12}  {summary}\n"
    return {"own_usage": usage, "own_commands": commands}


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
        OptionError: an option that there is not, or a value that cannot be.
    """
    parser = job_parser(name, mapping)
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        if unknown[0].startswith("-"):
            parser.error(f"mapping {name!r} has no option {unknown[0]!r}{parser.like(unknown[0])}")
        parser.error(
            f"{unknown[0]!r} is one argument too many (arguments for the workflow itself come"
            " after --)"
        )
    own = {key: getattr(options, key) for key in mapping_options(mapping, {})}
    return options, own


def job_parser(name: str, mapping: Mapping) -> Parser:
    """The parser for what follows the name of a mapping."""
    example = EXAMPLES.get(name, f"dispel4py {name} pipeline_test -i 10 -n 6")
    parser = Parser(
        prog=f"dispel4py {name}",
        usage=f"dispel4py {name} WORKFLOW [-a NAME] [-f FILE | -d JSON] [-i N] [-n N]"
        " [options]\n       [-- workflow arguments]",
        description=inspect.getdoc(type(mapping)),
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        conflict_handler="resolve",  # a mapping may say more about an option of ours
    )
    add_workflow(parser, optional=isinstance(mapping, JoiningMapping))
    given = parser.add_argument_group("what the workflow is fed")
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
    given.add_argument("-f", "--file", metavar="FILE", help="the same from a file (goes before -d)")
    how = parser.add_argument_group("how it is run")
    processes = ["-n", "--num", *(["--num_processes"] if name == "mpi" else [])]
    how.add_argument(
        *processes,
        dest="num",
        type=_processes,
        metavar="N",
        help="number of processes; auto is one per core",
    )
    how.add_argument(
        "-s",
        "--simple",
        action="store_true",
        help="put neighbouring PEs into one process, where the mapping can",
    )
    how.add_argument(
        "--on-error",
        choices=("stop", "skip"),
        default="stop",
        help="when a PE raises: stop (default), or skip the item and count it at the end; a run is"
        " done then, with exit status 0, unless no item got through one of its PEs",
    )
    how.add_argument(
        "--share-items",
        action="store_true",
        help="do not copy items between PEs (faster; no PE may change what it got or sent)",
    )
    how.add_argument(
        "--strict",
        action="store_true",
        help="fail when a PE changes its own attributes and does not say that it keeps state"
        " (otherwise that is only warned of)",
    )
    how.add_argument(
        "--seed",
        type=count_of,
        metavar="N",
        help="what random numbers follow from, which PEs draw from Python's and NumPy's global"
        " generators (default: drawn; shown at the end, with the time)",
    )
    add_shown(parser)
    mapping.add_arguments(parser)
    return parser


def add_shown(parser: argparse.ArgumentParser) -> None:
    """Add what every command that is a run takes."""
    shown = parser.add_argument_group("what is shown")
    shown.add_argument(
        "--output",
        metavar="FILE",
        help="write results there as they come, one JSON object per line; - is standard output",
    )
    shown.add_argument(
        "--failures",
        metavar="FILE",
        help="write each failure there as it comes, one JSON object per line, with PE, item, type,"
        " message and traceback; - is standard output",
    )
    shown.add_argument(
        "--fail-on-skipped",
        action="store_true",
        help="exit status 1 if anything was skipped (--on-error skip)",
    )
    shown.add_argument(
        "-q", "--quiet", action="store_true", help="neither messages of PEs nor progress"
    )


def add_workflow(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add what every command that reads a workflow takes."""
    parser.add_argument(
        "workflow",
        metavar="WORKFLOW",
        nargs="?" if optional else None,
        help="Python file, module or example",
    )
    parser.add_argument(
        "-a", "--attr", metavar="NAME", help="name of the graph, if there are several"
    )


def describe_example(loaded: LoadedWorkflow) -> str:
    """Say that an example was taken for want of a file of its name."""
    return (
        f"there is no file {loaded.target} here; this is the example that ships with d4py"
        f" ({loaded.module.__name__})"
    )


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _processes(text: str) -> int:
    if text == "auto":
        from dispel4py.processes.start_methods import usable_cores

        return usable_cores()
    return _whole(text)


def count_of(text: str) -> int:
    """A number that may be 0, from the command line."""
    number = _whole(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative; it must be at least 0")
    return number
