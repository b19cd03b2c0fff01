"""Mappings by name: what is installed, and the mapping itself once it is asked for.

A package offers a mapping by an entry point of the group ``dispel4py.mappings`` that names a class
(or a callable without arguments) whose instances are a `Mapping`.  Listing names imports none of
them.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from dispel4py.engine.capabilities import Capabilities
from dispel4py.errors import OptionError, UnknownMappingError, name_list
from dispel4py.result import RunOptions, RunResult
from dispel4py.workflow_graph import WorkflowGraph

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

ENTRY_POINT_GROUP = "dispel4py.mappings"
COMMAND_GROUP = "dispel4py.commands"

#: Prints titles and rows.
PrintTable = Callable[[Iterable[str], Iterable[Iterable[str]]], None]

#: Which distribution brings a mapping of ours, for the pip line when it is missing.
KNOWN_DISTRIBUTIONS = {
    "simple": "d4py-core",
    "multi": "d4py-mappings-fixed",
    "zmq_multi": "d4py-mappings-fixed[zmq]",
    "mpi": "d4py-mappings-fixed[mpi]",
    "dyn_multi": "d4py-mappings-dynamic",
    "dyn_auto_multi": "d4py-mappings-dynamic",
    "dyn_redis": "d4py-mappings-dynamic[redis]",
    "dyn_auto_redis": "d4py-mappings-dynamic[redis]",
    "hybrid_redis": "d4py-hybrid",
    "redis": "d4py-hybrid",
}

_TIMED = "use {!r}: every run counts the calls of each PE and the time in them, in result.stats"
_CLUSTER = "use 'multi' on one machine, 'mpi', 'zmq_multi' or 'hybrid_redis' on several"
#: Mappings of other versions of dispel4py → what to use instead.
_FORMER = {
    "timed_simple": _TIMED.format("simple"),
    "timed_multi": _TIMED.format("multi"),
    "timed_mpi": _TIMED.format("mpi"),
    "spark": _CLUSTER,
    "storm": _CLUSTER,
}
#: What may be meant by an option that no mapping has → the keyword of `dispel4py.run` for it.
_RUN_KEYWORDS = {
    **dict.fromkeys(("inputs", "iter", "iterations", "data"), "inputs"),
    **dict.fromkeys(("processes", "n", "num", "num_processes", "workers"), "processes"),
    **{name: name for name in ("on_result", "on_error", "on_progress", "share_items", "seed")},
}


@runtime_checkable
class Mapping(Protocol):
    """The four things that a mapping offers."""

    name: str
    capabilities: Capabilities

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the mapping's own command-line options; their names are its keyword options too."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """Run a graph to its end.

        Raises:
            UsageError: nothing was started.
            RunError: the run failed.
        """


@runtime_checkable
class Checks(Protocol):
    """What a mapping may offer beside: to say whether a graph would run, without running it.

    ``dispel4py check`` calls it for graphs that fit the mapping's capabilities.
    """

    def check(self, graph: WorkflowGraph, options: RunOptions) -> str | None:
        """Do all that a run does before it starts anything.

        Returns:
            What a run would need that is not here, such as a service; None if nothing.

        Raises:
            UsageError: the graph cannot run.
        """


@runtime_checkable
class JoinsRun(Protocol):
    """What a mapping may offer beside: a run may be started elsewhere, and take part in from here.

    The command calls it when it is given no workflow.
    """

    def join_run(self, options: RunOptions) -> None:
        """Take part in a run, to its end.

        Raises:
            UsageError: nothing was started.
            RunError: the run failed.
        """


class Command(Protocol):
    """A command of a mapping package's own: ``dispel4py NAME``.

    Registered by an entry point of the group ``dispel4py.commands`` that names a class; its
    docstring is the command's description.

    Attributes:
        example: how it is called.
    """

    example: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's options."""

    def run(self, options: argparse.Namespace, print_table: PrintTable) -> int:
        """Do it.

        Args:
            options: the options.
            print_table: prints titles and rows.

        Returns:
            The exit status.
        """


@runtime_checkable
class JobCommand(Protocol):
    """A command of a mapping package's own that is a run, so that it has results; see `Command`.

    The options that say where results and messages go are the `dispel4py` command's.
    """

    example: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's options."""

    def run_job(self, options: argparse.Namespace, run_options: RunOptions) -> RunResult:
        """Do it.

        Args:
            options: the options.
            run_options: where results and progress go.

        Raises:
            UsageError: nothing was started.
            RunError: the run failed.
        """


@runtime_checkable
class Collective(Protocol):
    """What a mapping may offer beside: several processes may be started as one command.

    A launcher such as mpiexec does so.  One of them leads, the others do what it says.
    """

    def collective(self) -> AbstractContextManager[int | None]:
        """Around everything that the command does once it knows its mapping.

        Gives None in the process that leads, and in a process that was started by itself.  In the
        others it gives, when all is over, the exit status to end with.
        """


def available() -> list[str]:
    """Names of the installed mappings, sorted; imports none of them."""
    return sorted({entry.name for entry in _entry_points(ENTRY_POINT_GROUP)})


def available_commands() -> list[str]:
    """Names of the commands that mappings' packages bring, sorted; imports none of them."""
    return sorted({entry.name for entry in _entry_points(COMMAND_GROUP)})


def distribution_of(name: str) -> str:
    """Name and version of the distribution that brings an installed mapping, or ``""``."""
    distribution = getattr(_entry_point(name), "dist", None)
    return "" if distribution is None else f"{distribution.name} {distribution.version}"


def load_mapping(name: str) -> Mapping:
    """The mapping of that name.

    Raises:
        UnknownMappingError: it is not installed, or its package cannot be imported; the message
            has the pip line that would help.
    """
    entry = _entry_point(name)
    if entry is None:
        raise UnknownMappingError(_not_installed(name))
    try:
        mapping: Mapping = entry.load()()
    except ImportError as error:
        if error.name == "_multiprocessing":
            raise UnknownMappingError(
                f"mapping {name!r} needs processes, which this Python ({sys.platform}) has not;"
                " use the mapping 'simple'"
            ) from error
        wanted = KNOWN_DISTRIBUTIONS.get(name) or getattr(entry.dist, "name", name)
        raise UnknownMappingError(
            f"mapping {name!r} is installed but cannot be imported ({error});"
            f" try: pip install '{wanted}'"
        ) from error
    return mapping


def load_command(name: str) -> Command | JobCommand | None:
    """The installed command of that name, if there is one.

    Raises:
        UnknownMappingError: what it needs cannot be imported.
    """
    entry = _entry_point(name, COMMAND_GROUP)
    if entry is None:
        return None
    try:
        command: Command | JobCommand = entry.load()()
    except ImportError as error:
        distribution = getattr(entry.dist, "name", name)
        # Our own command needs what the mappings over Redis need; of others nothing is known.
        ours = {wanted.partition("[")[0]: wanted for wanted in KNOWN_DISTRIBUTIONS.values()}
        raise UnknownMappingError(
            f"the command {name!r} of {distribution} cannot be imported ({error});"
            f" try: pip install '{ours.get(distribution, distribution)}'"
        ) from error
    return command


def mapping_options(mapping: Mapping, given: dict[str, Any]) -> dict[str, Any]:
    """A mapping's own options: what was given, defaults for the rest.

    Raises:
        OptionError: an option that the mapping does not have.
    """
    parser = argparse.ArgumentParser(add_help=False)
    mapping.add_arguments(parser)
    options = vars(parser.parse_args([]))
    unknown = [name for name in given if name not in options]
    if unknown:
        near = [_RUN_KEYWORDS[like] for name in unknown for like in _like(name, _RUN_KEYWORDS)]
        raise OptionError(
            f"mapping {mapping.name!r} has no option {name_list(unknown)}"
            f" (its options: {name_list(sorted(options))})"
            + (f"; did you mean {near[0]}= of run()?" if near else "")
        )
    return {**options, **given}


def _like(name: str, names: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(name, list(names), n=1, cutoff=0.8)


def _entry_points(group: str) -> EntryPoints:
    # Slow to import, and no worker process needs it.
    from importlib.metadata import entry_points

    return entry_points(group=group)


def _entry_point(name: str, group: str = ENTRY_POINT_GROUP) -> EntryPoint | None:
    return next((entry for entry in _entry_points(group) if entry.name == name), None)


def _not_installed(name: str) -> str:
    installed = available()
    message = f"no mapping {name!r} is installed (installed: {name_list(installed)})"
    if name in _FORMER:
        return f"{message}; {_FORMER[name]}"
    nearest = difflib.get_close_matches(name, [*installed, *KNOWN_DISTRIBUTIONS], n=1, cutoff=0.5)
    if name in KNOWN_DISTRIBUTIONS:
        message += f"; to get it: pip install '{KNOWN_DISTRIBUTIONS[name]}'"
    elif nearest:
        message += f"; did you mean {nearest[0]!r}?"
        if nearest[0] not in installed:
            message += f" (pip install '{KNOWN_DISTRIBUTIONS[nearest[0]]}')"
    else:
        message += "; the ones that d4py ships come with: pip install d4py-cli"
    return message
