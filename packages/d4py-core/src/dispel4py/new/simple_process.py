"""The mapping ``simple`` by its module path in dispel4py.

>>> from dispel4py import ProducerPE, WorkflowGraph
>>> class One(ProducerPE):
...     def _process(self, inputs):
...         return 1
>>> graph = WorkflowGraph()
>>> graph.add(One())
>>> process_and_return(graph, {"One": 2})
{'One0': {'output': [1, 1]}}
"""

from __future__ import annotations

import queue
from collections.abc import Iterable, Mapping
from typing import Any

from dispel4py.core import GenericPE, make_pe_id
from dispel4py.errors import OptionError, name_list
from dispel4py.new import _legacy
from dispel4py.result import RunResult
from dispel4py.workflow_graph import WorkflowGraph

#: PE (the object, its name or its id) → names of the outputs to return.
ResultMappings = Mapping[Any, Iterable[str]]


def process(
    workflow: WorkflowGraph,
    inputs: Any,
    args: Any = None,
    resultmappings: ResultMappings | None = None,
) -> RunResult | queue.Queue[Any] | None:
    """Run a workflow in this process and print its outputs.

    Args:
        workflow: the graph.
        inputs: what the roots are called with; see `dispel4py.run`.  ``{}`` is one call each.
        args: any object, whose attributes are options; see `dispel4py.new.multi_process`.
        resultmappings: as for `process_and_return`; nothing is returned then.
    """
    if resultmappings is None:
        return _legacy.process("simple", workflow, inputs, args)
    print(f"Outputs: {_run_and_select(workflow, inputs, args, resultmappings)}")
    return None


def process_and_return(
    workflow: WorkflowGraph,
    inputs: Any,
    resultmappings: ResultMappings | None = None,
    args: Any = None,
) -> dict[str, dict[str, list[Any]]]:
    """Run a workflow in this process and return its results.

    Args:
        workflow: the graph.  The `id` of each PE is set to that in the results.
        inputs: what the roots are called with; see `dispel4py.run`.  ``{}`` is one call each.
        resultmappings: PE (the object, its name or its id) → names of outputs.  Only these are
            returned, and they are returned even where they are connected.
        args: as for `process`.

    Returns:
        id of the PE → name of the output → data.

    Raises:
        OptionError: `resultmappings` names a PE or an output that does not exist.
        UsageError: the call or the graph is wrong; nothing was started.
        RunError: the run failed.
    """
    if resultmappings is None:
        return _legacy.run_workflow("simple", workflow, inputs, args).outputs
    return _run_and_select(workflow, inputs, args, resultmappings)


class _Tap(GenericPE):
    """Forwards the items of a connected output, so that they become results."""

    def __init__(self) -> None:
        super().__init__()
        self._add_input("input")
        self._add_output("output")

    def process(self, inputs: dict[str, Any]) -> None:
        self.write("output", inputs["input"])


def _run_and_select(
    workflow: WorkflowGraph, inputs: Any, args: Any, resultmappings: ResultMappings
) -> dict[str, dict[str, list[Any]]]:
    tapped = workflow.flatten()  # a new graph of the same PEs, to which taps are added
    pes: list[Any] = tapped.get_contained_objects()
    wanted: dict[tuple[str, str], tuple[str, str]] = {}  # output of the run → requested output
    for i, output in _selected(pes, resultmappings):
        result = (make_pe_id(pes[i], i), output)
        if any(edge.source is pes[i] and edge.output == output for edge in tapped.edges):
            tap = _Tap()
            wanted[make_pe_id(tap, len(tapped.get_contained_objects())), "output"] = result
            tapped.connect(pes[i], output, tap, "input")
        else:
            wanted[result] = result
    selected: dict[str, dict[str, list[Any]]] = {}

    def take(source: str, output: str, data: Any) -> None:
        if (source, output) in wanted:
            source, output = wanted[(source, output)]
            selected.setdefault(source, {}).setdefault(output, []).append(data)

    _legacy.run_workflow("simple", tapped, inputs, args, take)
    return selected


def _selected(pes: list[Any], resultmappings: ResultMappings) -> list[tuple[int, str]]:
    """Return the numbers of PEs and names of outputs that are requested, each once."""
    found: list[tuple[int, str]] = []
    ids = [make_pe_id(pe, i) for i, pe in enumerate(pes)]
    for key, outputs in resultmappings.items():
        matching = [
            i for i, pe in enumerate(pes) if key is pe or key in (pe.name, make_pe_id(pe, i))
        ]
        if not matching:
            raise OptionError(
                f"resultmappings names {key!r}, which is no PE of the graph (PEs: {name_list(ids)})"
            )
        for i in matching:
            for output in outputs:
                if output not in pes[i].outputconnections:
                    raise OptionError(
                        f"resultmappings names output {output!r} of {ids[i]}, which has"
                        f" {name_list(list(pes[i].outputconnections))}"
                    )
                found.append((i, output))
    return list(dict.fromkeys(found))
