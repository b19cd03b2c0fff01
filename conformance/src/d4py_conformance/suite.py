"""What all parts of the suite stand on: the fixtures, and how a test runs a graph."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from dispel4py import GenericPE, RunResult, WorkflowGraph, run
from dispel4py.registry import Capabilities, load_mapping

#: Runs a graph: ``execute(graph, inputs, **options of run)``.
Execute = Callable[..., RunResult]
#: Skips a test of what the mapping does not declare: ``require("stateful", …)``.
Require = Callable[..., None]


@pytest.mark.timeout(60)
class Suite:
    """Base of the suite's parts.  A test that takes longer than its timeout has hung."""

    @pytest.fixture
    def mapping(self) -> str:
        """Name of the mapping; override it."""
        raise NotImplementedError("a subclass of MappingConformance has a fixture `mapping`")

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        """Keyword arguments of `dispel4py.run` that all runs of this mapping get."""
        return {}

    @pytest.fixture
    def capabilities(self, mapping: str) -> Capabilities:
        """What the mapping declares."""
        return load_mapping(mapping).capabilities

    @pytest.fixture
    def execute(self, mapping: str, options: dict[str, Any]) -> Execute:
        """See `Execute`."""

        def execute(graph: WorkflowGraph, inputs: Any = None, **more: Any) -> RunResult:
            return run(graph, mapping=mapping, inputs=inputs, **{**options, **more})

        return execute

    @pytest.fixture
    def require(self, mapping: str, capabilities: Capabilities) -> Require:
        """See `Require`."""

        def require(*names: str) -> None:
            for name in names:
                if not getattr(capabilities, name):
                    pytest.skip(f"{mapping} does not declare {name}")

        return require


def chain(*pes: GenericPE | WorkflowGraph) -> WorkflowGraph:
    """A graph in which each PE's ``output`` is joined to the next one's ``input``."""
    graph = WorkflowGraph()
    graph.add(pes[0])
    for source, destination in pairwise(pes):
        graph.connect(source, "output", destination, "input")
    return graph


def results(run_result: RunResult, pe_id: str, output: str = "output") -> list[Any]:
    """What came out of one output."""
    return run_result.outputs.get(pe_id, {}).get(output, [])
