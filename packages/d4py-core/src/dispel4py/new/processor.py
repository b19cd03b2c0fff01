"""The ``dispel4py`` command by its module path in dispel4py, and the functions of that module.

The command is part of the package d4py-cli and is found by its entry point, so that core does not
depend on it.  Programs with a command of their own use the functions here.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from dispel4py.engine.inputs import read_inputs
from dispel4py.files.entry_points import find_object_reference, load_object
from dispel4py.new.mappings import config
from dispel4py.utils import load_graph
from dispel4py.workflow_graph import WorkflowGraph

STATUS_ACTIVE = 10
STATUS_INACTIVE = 11
STATUS_TERMINATED = 12
STATUS = {
    STATUS_ACTIVE: "ACTIVE",
    STATUS_INACTIVE: "INACTIVE",
    STATUS_TERMINATED: "TERMINATED",
}


def mapping_name(target: str) -> str:
    """Return the name of a mapping, given by its name or by its module path in dispel4py.

    >>> mapping_name("dispel4py.new.multi_process"), mapping_name("multi")
    ('multi', 'multi')
    """
    return next((name for name, module in config.items() if module == target), target)


def create_arg_parser() -> argparse.ArgumentParser:
    """Return a parser for a mapping, a workflow, and ``-a``, ``-f``, ``-d`` and ``-i``."""
    parser = argparse.ArgumentParser(description="Submit a dispel4py graph for processing.")
    parser.add_argument("target", help="the mapping")
    parser.add_argument("module", help="the workflow, a Python module or file")
    parser.add_argument("-a", "--attr", metavar="NAME", help="the variable that holds the graph")
    parser.add_argument(
        "-f", "--file", metavar="FILE", help="inputs of the roots, as JSON in a file; before -d"
    )
    parser.add_argument("-d", "--data", metavar="JSON", help="inputs of the roots, as JSON")
    parser.add_argument(
        "-i", "--iter", metavar="N", type=int, default=1, help="calls of each root (default: 1)"
    )
    return parser


def parse_common_args() -> tuple[argparse.Namespace, list[str]]:
    """Parse the arguments of this process by `create_arg_parser`; return the rest too."""
    return create_arg_parser().parse_known_args()


def get_inputs_from_arguments(args: Any) -> dict[str, Any]:
    """Return the inputs in ``args.file``, or else in ``args.data``; ``{}`` without either.

    Raises:
        InputError: the file cannot be read, or the data is no JSON object.
    """
    return read_inputs(getattr(args, "file", None), getattr(args, "data", None))


def create_inputs(args: Any, graph: WorkflowGraph) -> dict[Any, Any]:
    """Return those inputs, or else ``args.iter`` calls for each root of a graph.

    Raises:
        InputError: see `get_inputs_from_arguments`.
        GraphError: a composite lacks a port.
    """
    inputs: dict[Any, Any] = dict(get_inputs_from_arguments(args))
    if inputs:
        return inputs
    flat = graph.flatten()
    fed = {id(edge.destination) for edge in flat.edges}
    return {pe: args.iter for pe in flat.get_contained_objects() if id(pe) not in fed}


def load_graph_and_inputs(args: Any) -> tuple[WorkflowGraph, dict[Any, Any]]:
    """Return the graph of ``args.module`` (and ``args.attr``), and `create_inputs` for it.

    Raises:
        WorkflowLoadError: there is no such workflow.
        InputError: see `get_inputs_from_arguments`.
    """
    graph = load_graph(args.module, getattr(args, "attr", None))
    return graph, create_inputs(args, graph)


def main() -> NoReturn:
    """Run the ``dispel4py`` command with the arguments of this process, and exit as it does."""
    reference = _find_command()
    if reference is None:
        _refuse("the dispel4py command is not installed")
    try:
        run_command = load_object(reference)
    except ImportError as error:
        _refuse(f"the dispel4py command cannot be imported ({error})")
    sys.exit(run_command())


def _find_command() -> str | None:
    reference = find_object_reference("console_scripts", "dispel4py")
    if reference is not None and not _leads_here(reference):
        return reference
    # Slow to import, so only for what `dispel4py.files.entry_points` does not do.
    from importlib.metadata import entry_points

    found = [entry.value for entry in entry_points(group="console_scripts", name="dispel4py")]
    return next((value for value in found if not _leads_here(value)), None)


def _leads_here(reference: str) -> bool:
    """Return whether a command is this module, which would call itself."""
    return reference.startswith("dispel4py.")


def _refuse(reason: str) -> NoReturn:
    print(f"dispel4py: {reason}; to get it: pip install d4py-cli", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
