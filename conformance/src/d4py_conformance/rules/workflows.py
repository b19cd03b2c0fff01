"""The workflows of `d4py_examples.graph_testing` give what they have to give."""

from __future__ import annotations

import pytest

from d4py_conformance.compare import assert_outputs
from d4py_conformance.suite import Execute, Suite
from d4py_conformance.workflows import WORKFLOWS
from dispel4py.errors import UnsupportedGraphError
from dispel4py.registry import Capabilities

_RUNS = [
    pytest.param(name, size, id=f"{name}-{size}", marks=pytest.mark.timeout(case.timeout))
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
