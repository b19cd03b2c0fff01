"""`process` and `parse_args` of the mapping modules of dispel4py.

Each of those modules binds the functions here to the name of its mapping.  The mapping is loaded
when a function is called, so the modules can be imported with core alone.
"""

from __future__ import annotations

import argparse
import queue
from collections.abc import Sequence
from typing import Any

from dispel4py import registry
from dispel4py.core import make_pe_id
from dispel4py.new.processor import STATUS_TERMINATED
from dispel4py.result import OnResult, RunResult
from dispel4py.running import run
from dispel4py.workflow_graph import WorkflowGraph


def process(
    mapping: str, workflow: WorkflowGraph, inputs: Any, args: Any = None
) -> RunResult | queue.Queue[Any]:
    """Run a workflow on a mapping, with options that are attributes of an object.

    Args:
        mapping: name of the mapping.
        workflow: the graph.  The `id` of each PE is set to that in the run, by which callers find
            results; nothing else is changed.
        inputs: what the roots are called with; see `dispel4py.run`.  ``{}`` is one call each.
        args: any object with options as attributes: ``num`` or ``num_processes`` is the number of
            processes, ``results`` asks for a queue, and all others are options of the mapping,
            unless they are None.  Attributes that are no options are ignored.

    Returns:
        With ``args.results`` a queue of ``(pe_id, output, data)``, ended by `STATUS_TERMINATED`.
        Otherwise the result of the run, whose outputs are printed.

    Raises:
        UnknownMappingError: the mapping is not installed.
        UsageError: the call or the graph is wrong; nothing was started.
        RunError: the run failed.
    """
    if getattr(args, "results", False):
        results: queue.Queue[Any] = queue.Queue()
        run_workflow(mapping, workflow, inputs, args, lambda *result: results.put(result))
        results.put(STATUS_TERMINATED)
        return results
    result = run_workflow(mapping, workflow, inputs, args)
    print(f"Outputs: {result.outputs}")
    return result


def parse_args(
    mapping: str, args: Sequence[str], namespace: argparse.Namespace
) -> argparse.Namespace:
    """Parse the options of a mapping, and the number of processes, into a namespace.

    Raises:
        UnknownMappingError: the mapping is not installed.
    """
    parser = argparse.ArgumentParser(prog=f"dispel4py {mapping}")
    parser.add_argument(
        "-n", "--num", "--num_processes", type=int, metavar="N", help="number of processes"
    )
    registry.load_mapping(mapping).add_arguments(parser)
    return parser.parse_args(args, namespace)


def run_workflow(
    mapping: str,
    workflow: WorkflowGraph,
    inputs: Any,
    args: Any = None,
    on_result: OnResult | None = None,
) -> RunResult:
    """Run a workflow; see `process`.  Results are collected, or passed to `on_result`."""
    own_options = registry.mapping_options(registry.load_mapping(mapping), {})
    given = {name: getattr(args, name, None) for name in own_options}
    result = run(
        workflow,
        mapping,
        None if inputs == {} else inputs,
        getattr(args, "num", getattr(args, "num_processes", None)),
        on_result=on_result,
        **{name: value for name, value in given.items() if value is not None},
    )
    pes: list[Any] = workflow.flatten().get_contained_objects()
    for i, pe in enumerate(pes):
        pe.id = make_pe_id(pe, i)
    return result
