"""The workflows of `d4py_examples.graph_testing` give what they have to give."""

from __future__ import annotations

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.expected.workflows import WORKFLOWS
from d4py_conformance.suite import Execute, Suite
from dispel4py.engine.planning.capabilities import Capabilities
from dispel4py.engine.planning.plan import make_plan
from dispel4py.errors import UnsupportedGraphError

_RUNS = [
    pytest.param(name, size, id=f"{name}-{size}")
    for name, case in WORKFLOWS.items()
    for size in case.sizes
]


class WorkflowRuns(Suite):
    """Every workflow, at several sizes."""

    @pytest.mark.parametrize(("name", "size"), _RUNS)
    def test_workflow(
        self, execute: Execute, capabilities: Capabilities, name: str, size: int
    ) -> None:
        """It gives what it has to, or is refused if it needs what the mapping does not declare."""
        case = WORKFLOWS[name]
        if not case.needs.issubset(capabilities.declared()):
            with pytest.raises(UnsupportedGraphError):
                execute(case.graph(), size)
            return
        assert_outputs(execute(case.graph(), size).outputs, case.expected(size))


class WorkflowsInProcesses(Suite):
    """Every workflow in as many processes as it has instances, in more, and in fewer.

    For mappings that give each instance a process, and have an option `simple` for two processes.
    """

    @pytest.mark.parametrize("processes", ["1", "2", "3", "enough", "more", "simple"])
    @pytest.mark.parametrize("name", WORKFLOWS)
    def test_workflow_in_processes(self, execute: Execute, name: str, processes: str) -> None:
        """It gives what it has to; processes are as many as asked for, or as can be used."""
        case = WORKFLOWS[name]
        graph, size = case.graph(), case.sizes[-1]
        enough = sum(pe.instances for pe in make_plan(graph).pes)
        if processes == "simple":
            result = execute(graph, size, simple=True)
            assert result.stats.processes <= 2
        else:
            asked = {"enough": enough, "more": enough + 5}.get(processes) or int(processes)
            result = execute(graph, size, processes=asked)
            if graph.partitions is None:
                assert min(asked, enough) <= result.stats.processes <= asked
        assert_outputs(result.outputs, case.expected(size))
