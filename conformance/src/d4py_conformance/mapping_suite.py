"""`MappingConformance`: all parts of the suite in one class, for mapping authors to subclass."""

from __future__ import annotations

from d4py_conformance.rules.arrival import ArrivalRules
from d4py_conformance.rules.batches import BatchRules
from d4py_conformance.rules.children import ChildrenRules
from d4py_conformance.rules.completion import CompletionRules
from d4py_conformance.rules.contexts import ContextRules
from d4py_conformance.rules.copies import CopyRules
from d4py_conformance.rules.declarations import DeclarationRules
from d4py_conformance.rules.ending import EndingRules
from d4py_conformance.rules.errors import ErrorRules
from d4py_conformance.rules.graph import GraphRules
from d4py_conformance.rules.inputs import InputRules
from d4py_conformance.rules.instances import InstanceRules
from d4py_conformance.rules.items import ItemRules
from d4py_conformance.rules.keys import KeyRules
from d4py_conformance.rules.memory import MemoryRules
from d4py_conformance.rules.multi_host import MultiHostRules
from d4py_conformance.rules.observation import ObservationRules
from d4py_conformance.rules.order import OrderRules
from d4py_conformance.rules.output import OutputRules
from d4py_conformance.rules.ownership import OwnershipRules
from d4py_conformance.rules.random_graphs import RandomGraphRules
from d4py_conformance.rules.roots import RootRules
from d4py_conformance.rules.routing import RoutingRules
from d4py_conformance.rules.starting import StartingRules
from d4py_conformance.rules.state import StateRules
from d4py_conformance.rules.statistics import StatisticsRules
from d4py_conformance.rules.stopping import StoppingRules
from d4py_conformance.rules.threads import ThreadRules
from d4py_conformance.rules.workflows import WorkflowRuns


class MappingConformance(
    GraphRules,
    InputRules,
    InstanceRules,
    RoutingRules,
    ItemRules,
    CompletionRules,
    StatisticsRules,
    ObservationRules,
    ErrorRules,
    StoppingRules,
    ChildrenRules,
    StartingRules,
    MemoryRules,
    DeclarationRules,
    OwnershipRules,
    RootRules,
    MultiHostRules,
    OrderRules,
    BatchRules,
    ContextRules,
    CopyRules,
    KeyRules,
    EndingRules,
    ThreadRules,
    OutputRules,
    StateRules,
    ArrivalRules,
    WorkflowRuns,
    RandomGraphRules,
):
    """The suite.

    Its parts are tested in the order above: what is simple first, random graphs last.

    A subclass gives two fixtures: `mapping`, a mapping or the name of an installed one, and
    `options`, a dict of what `dispel4py.run` is to be called with beside (``{}`` unless
    overridden).  Names of tests carry the number of the rule that they test.  What the mapping does
    not declare by its capabilities is not asked of it; it has to be refused instead.
    """
