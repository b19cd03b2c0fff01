"""The rules that every mapping keeps, as tests for mapping authors.

The whole of an author's test file::

    import pytest

    from d4py_conformance import MappingConformance


    class TestMyMapping(MappingConformance):
        @pytest.fixture
        def mapping(self):
            return "my_mapping"

        @pytest.fixture
        def options(self):
            return {"processes": 4}
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from d4py_conformance.expected.compare import assert_outputs, differences
    from d4py_conformance.expected.workflows import WORKFLOWS, Case
    from d4py_conformance.mapping_suite import MappingConformance
    from d4py_conformance.rules.multi_host import TwoHosts
    from d4py_conformance.rules.workflows import WorkflowsInProcesses

__all__ = [
    "WORKFLOWS",
    "Case",
    "MappingConformance",
    "TwoHosts",
    "WorkflowsInProcesses",
    "assert_outputs",
    "differences",
]

_MODULES = {
    "WORKFLOWS": "expected.workflows",
    "Case": "expected.workflows",
    "MappingConformance": "mapping_suite",
    "TwoHosts": "rules.multi_host",
    "WorkflowsInProcesses": "rules.workflows",
    "assert_outputs": "expected.compare",
    "differences": "expected.compare",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use.

    Every worker process of a test imports the PEs in this package; pytest and the rules would
    quadruple the time that takes.
    """
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
