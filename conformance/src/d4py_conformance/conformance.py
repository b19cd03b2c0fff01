"""`MappingConformance`: all parts of the suite in one class, for mapping authors to subclass."""

from __future__ import annotations

from d4py_conformance.rules.completion import CompletionRules
from d4py_conformance.rules.graph import GraphRules
from d4py_conformance.rules.inputs import InputRules
from d4py_conformance.rules.instances import InstanceRules
from d4py_conformance.rules.items import ItemRules
from d4py_conformance.rules.routing import RoutingRules
from d4py_conformance.rules.workflows import WorkflowRuns


class MappingConformance(
    WorkflowRuns,
    GraphRules,
    InputRules,
    InstanceRules,
    RoutingRules,
    ItemRules,
    CompletionRules,
):
    """The suite.

    A subclass gives two fixtures: `mapping`, the name of an installed mapping, and `options`, a
    dict of what `dispel4py.run` is to be called with beside (``{}`` unless overridden).  Names of
    tests carry the number of the rule that they test.
    """
