"""The protocols of mappings and commands, and the registry that finds installed ones by name.

A package registers a mapping by an entry point of the group ``dispel4py.mappings`` that names a
class (or a callable without arguments) whose instances are a `Mapping`.  Listing names imports no
mapping.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from dispel4py.engine.planning.capabilities import Capabilities
from dispel4py.errors import OptionError, UnknownMappingError, name_list
from dispel4py.files.entry_points import find_object_reference, load_object
from dispel4py.result import RunOptions, RunResult
from dispel4py.workflow_graph import WorkflowGraph

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

    from dispel4py.events import Event

ENTRY_POINT_GROUP = "dispel4py.mappings"
COMMAND_GROUP = "dispel4py.commands"
EVENT_SOURCE_GROUP = "dispel4py.event_sources"

#: Prints a table: called with the titles and the rows.
PrintTable = Callable[[Iterable[str], Iterable[Iterable[str]]], None]

#: Mappings of d4py → their distributions, for the pip command when one is missing.
KNOWN_DISTRIBUTIONS = {
    "simple": "d4py-core",
    "multi": "d4py-mappings-fixed",
    "threads": "d4py-mappings-fixed",
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
FORMER_MAPPINGS = {
    "timed_simple": _TIMED.format("simple"),
    "timed_multi": _TIMED.format("multi"),
    "timed_mpi": _TIMED.format("mpi"),
    "spark": _CLUSTER,
    "storm": _CLUSTER,
}
#: Names that are taken for options of a mapping → the keyword of `dispel4py.run` that is meant.
_RUN_KEYWORDS = {
    **dict.fromkeys(("inputs", "iter", "iterations", "data"), "inputs"),
    **dict.fromkeys(("processes", "n", "num", "num_processes", "workers"), "processes"),
    **{name: name for name in ("on_result", "on_error", "on_progress", "share_items", "seed")},
}


@runtime_checkable
class Mapping(Protocol):
    """What runs a graph; every mapping has these four members.

    Attributes:
        name: name under which the mapping is registered.
        capabilities: which graphs the mapping can run.

    An attribute ``example`` is optional: a command line for the help text.
    """

    name: str
    capabilities: Capabilities

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the mapping's own command-line options, which are keyword options of `run` too."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """Run a graph and wait for its end.

        Args:
            graph: the graph, which must not be changed.
            inputs: what the roots are called with; see `dispel4py.mapping.root_inputs`.
            options: the options of the run.

        Raises:
            UsageError: the call or the graph is wrong; nothing was started.
            RunError: the run failed.
        """


@runtime_checkable
class CheckingMapping(Protocol):
    """A mapping that can check a graph without running it.

    ``dispel4py check`` calls the method for graphs that fit the mapping's capabilities.
    """

    def check(self, graph: WorkflowGraph, options: RunOptions) -> str | None:
        """Do all that `run` does before it starts anything.

        Args:
            graph: the graph.
            options: the options that a run would have.

        Returns:
            What a run would need and lacks here, such as a service; None if nothing.

        Raises:
            UsageError: the graph cannot run.
        """


@runtime_checkable
class JoiningMapping(Protocol):
    """A mapping that can take part in a run that was started on another host.

    The ``dispel4py`` command calls the method when it is given no workflow.
    """

    def join_run(self, options: RunOptions) -> None:
        """Take part in a run and wait for its end.

        Args:
            options: the options; those of the mapping say which run.

        Raises:
            UsageError: there is no such run; nothing was started.
            RunError: the run failed.
        """


class Command(Protocol):
    """A command of a mapping's package, called as ``dispel4py NAME``.

    A command is registered by an entry point of the group ``dispel4py.commands`` that names a
    class, whose docstring is the description in the command's help.

    Attributes:
        example: a command line, for the help.

    An attribute ``requires`` is optional: names of modules that the command imports when it is
    run.  Help texts import all commands, so what is slow to import is imported then.
    """

    example: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's options."""

    def run(self, options: argparse.Namespace, print_table: PrintTable) -> int:
        """Run the command.

        Args:
            options: the parsed options.
            print_table: prints a table of titles and rows.

        Returns:
            The exit status.
        """


@runtime_checkable
class JobCommand(Protocol):
    """A command of a mapping's package that runs a graph and has results; see `Command`.

    The ``dispel4py`` command adds the options that say where results and messages go.
    """

    example: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's options."""

    def run_job(self, options: argparse.Namespace, run_options: RunOptions) -> RunResult:
        """Run the command.

        Args:
            options: the parsed options.
            run_options: where results and progress go.

        Raises:
            UsageError: the call is wrong; nothing was started.
            RunError: the run failed.
        """


class EventSource(Protocol):
    """Where ``dispel4py ui`` finds the events of a run that another process drives.

    It is registered by an entry point of the group ``dispel4py.event_sources``.
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options that say which run."""

    def follow(
        self, options: argparse.Namespace, stopped: threading.Event
    ) -> AbstractContextManager[Iterator[Event]]:
        """Return a context with the events of a run: those so far, and others as they come.

        The events end with the run, or soon after `stopped` was set.

        Args:
            options: the parsed options.
            stopped: set when no more events are wanted.

        Raises:
            UsageError: there is no such run, or it cannot be followed.
            ServiceError: the run cannot be reached.
        """


@runtime_checkable
class CollectiveMapping(Protocol):
    """A mapping whose command may be started as several processes by a launcher such as mpiexec.

    One process runs the command; the others wait for it and run ranks.
    """

    def collective(self) -> AbstractContextManager[int | None]:
        """Return a context around all that the command does once its mapping is known.

        The value is None in the process that runs the command, also where that is the only one.
        In the others entering the context returns at the end of the run, and the value is the exit
        status.
        """


def available() -> list[str]:
    """Return the names of the installed mappings, sorted; no mapping is imported."""
    return sorted({entry.name for entry in _entry_points(ENTRY_POINT_GROUP)})


def available_commands() -> list[str]:
    """Return the names of the commands of installed packages, sorted; none is imported."""
    return sorted({entry.name for entry in _entry_points(COMMAND_GROUP)})


def distribution_of(name: str) -> str:
    """Return name and version of the distribution of an installed mapping, or ``""``."""
    distribution = getattr(_entry_point(name), "dist", None)
    return "" if distribution is None else f"{distribution.name} {distribution.version}"


def load_mapping(name: str) -> Mapping:
    """Return a new instance of the mapping with a name.

    Raises:
        UnknownMappingError: the mapping is not installed, or cannot be imported; the message has
            the pip command to install it.
    """
    load = _loader(name, ENTRY_POINT_GROUP)
    if load is None:
        raise UnknownMappingError(_lack_of_processes(name) or _not_installed(name))
    try:
        mapping: Mapping = load()()
    except ImportError as error:
        if message := _lack_of_processes(name, error):
            raise UnknownMappingError(message) from error
        wanted = KNOWN_DISTRIBUTIONS.get(name) or _distribution_name(name, ENTRY_POINT_GROUP)
        raise UnknownMappingError(
            f"mapping {name!r} is installed but cannot be imported ({error});"
            f" try: pip install '{wanted}'"
        ) from error
    return mapping


def load_command(name: str) -> Command | JobCommand | None:
    """Return a new instance of the installed command with a name; None if there is none.

    Raises:
        UnknownMappingError: the command cannot be imported, or a module that it requires.
    """
    load = _loader(name, COMMAND_GROUP)
    if load is None:
        return None
    try:
        command: Command | JobCommand = load()()
        for module in getattr(command, "requires", ()):
            if find_spec(module) is None:
                raise ModuleNotFoundError(f"No module named {module!r}", name=module)
    except ImportError as error:
        distribution = _distribution_name(name, COMMAND_GROUP)
        # Commands of d4py need the extras of its mappings; those of other packages are not known.
        ours = {wanted.partition("[")[0]: wanted for wanted in KNOWN_DISTRIBUTIONS.values()}
        raise UnknownMappingError(
            f"the command {name!r} of {distribution} cannot be imported ({error});"
            f" try: pip install '{ours.get(distribution, distribution)}'"
        ) from error
    return command


def load_event_source(name: str) -> EventSource | None:
    """Return a new instance of the source of events with a name; None if it is not installed."""
    load = _loader(name, EVENT_SOURCE_GROUP)
    if load is None:
        return None
    source: EventSource = load()()
    return source


def mapping_options(mapping: Mapping, given: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping's own options: those given, and the defaults of all others.

    Args:
        mapping: the mapping.
        given: options by name.

    Raises:
        OptionError: the mapping does not have one of the options.
    """
    parser = argparse.ArgumentParser(add_help=False)
    mapping.add_arguments(parser)
    options = vars(parser.parse_args([]))
    unknown = [name for name in given if name not in options]
    if unknown:
        near = [
            _RUN_KEYWORDS[like]
            for name in unknown
            for like in _close_matches(name, _RUN_KEYWORDS, 0.8)
        ]
        raise OptionError(
            f"mapping {mapping.name!r} has no option {name_list(unknown)}"
            f" (its options: {name_list(sorted(options))})"
            + (f"; did you mean {near[0]}= of run()?" if near else "")
        )
    return {**options, **given}


def _close_matches(name: str, names: Iterable[str], cutoff: float) -> list[str]:
    from difflib import get_close_matches  # slow to import, and only errors need it

    return get_close_matches(name, list(names), n=1, cutoff=cutoff)


def _loader(name: str, group: str) -> Callable[[], Any] | None:
    """Return what imports the class with a name; None if no installed package has one."""
    reference = find_object_reference(group, name)
    if reference is not None:
        return partial(load_object, reference)
    entry = _entry_point(name, group)  # in an archive
    return None if entry is None else entry.load


def _distribution_name(name: str, group: str) -> str:
    """Return the name of the distribution with an entry point; its own name if that is unknown."""
    distribution = getattr(_entry_point(name, group), "dist", None)
    return name if distribution is None else distribution.name


def _entry_points(group: str) -> EntryPoints:
    # Slow to import, so only for what `dispel4py.files.entry_points` does not do.
    from importlib.metadata import entry_points

    return entry_points(group=group)


def _entry_point(name: str, group: str = ENTRY_POINT_GROUP) -> EntryPoint | None:
    return next((entry for entry in _entry_points(group) if entry.name == name), None)


def _lack_of_processes(name: str, error: ImportError | None = None) -> str | None:
    """Return that a mapping needs what this platform lacks; None if that is not so.

    Args:
        name: the mapping.
        error: of the import of the mapping.
    """
    from dispel4py.processes import is_webassembly

    is_ruled_out = name in KNOWN_DISTRIBUTIONS and name != "simple" and is_webassembly()
    if not is_ruled_out and getattr(error, "name", None) != "_multiprocessing":
        return None
    return (
        f"mapping {name!r} needs {'threads' if name == 'threads' else 'processes'}, which Python on"
        f" {sys.platform} lacks; use the mapping 'simple'"
    )


def _not_installed(name: str) -> str:
    installed = available()
    message = f"no mapping {name!r} is installed (installed: {name_list(installed)})"
    if name in FORMER_MAPPINGS:
        return f"{message}; {FORMER_MAPPINGS[name]}"
    nearest = _close_matches(name, [*installed, *KNOWN_DISTRIBUTIONS], 0.5)
    if name in KNOWN_DISTRIBUTIONS:
        message += f"; to get it: pip install '{KNOWN_DISTRIBUTIONS[name]}'"
    elif nearest:
        message += f"; did you mean {nearest[0]!r}?"
        if nearest[0] not in installed:
            message += f" (pip install '{KNOWN_DISTRIBUTIONS[nearest[0]]}')"
    else:
        message += "; to get those of d4py: pip install d4py-cli"
    return message
