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

import pytest

# So that a failed assert in there shows its values, as it does in a test file.
pytest.register_assert_rewrite("d4py_conformance.expected.compare", "d4py_conformance.rules")

from d4py_conformance.expected.compare import assert_outputs, differences  # noqa: E402
from d4py_conformance.expected.workflows import WORKFLOWS, Case  # noqa: E402
from d4py_conformance.mapping_suite import MappingConformance  # noqa: E402
from d4py_conformance.rules.multi_host import TwoHosts  # noqa: E402
from d4py_conformance.rules.workflows import WorkflowsInProcesses  # noqa: E402

__all__ = [
    "WORKFLOWS",
    "Case",
    "MappingConformance",
    "TwoHosts",
    "WorkflowsInProcesses",
    "assert_outputs",
    "differences",
]
