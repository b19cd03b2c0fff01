"""The nodes and edges of a workflow by the interface of networkx: `WorkflowGraph.graph`.

Workflows that were written for dispel4py iterate over the nodes of a graph to get its PEs.  The
objects here are copies, created at each access; a graph is changed by its own methods.

>>> from dispel4py import ConsumerPE, ProducerPE, WorkflowGraph
>>> workflow = WorkflowGraph()
>>> workflow.connect(ProducerPE(), "output", ConsumerPE(), "input")
>>> [node.get_contained_object().name for node in workflow.graph.nodes()]
['ProducerPE', 'ConsumerPE']
>>> [data["ALL_CONNECTIONS"] for _, _, data in workflow.graph.edges(data=True)]
[[('output', 'input')]]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dispel4py.core import GenericPE


class WorkflowNode:
    """The node of a PE or a composite; equal to any other node of the same object.

    Args:
        obj: the PE or composite.

    Attributes:
        obj: the PE or composite.
        nodeType: `WORKFLOW_NODE_PE` or `WORKFLOW_NODE_CP`.
        inputs: an empty dict for each input.
        outputs: an empty dict for each output.
    """

    WORKFLOW_NODE_PE, WORKFLOW_NODE_FN, WORKFLOW_NODE_CP = 0, 1, 2

    def __init__(self, obj: Any) -> None:
        self.obj = obj
        is_pe = isinstance(obj, GenericPE)
        self.nodeType = self.WORKFLOW_NODE_PE if is_pe else self.WORKFLOW_NODE_CP
        inputs = obj.inputconnections if is_pe else obj.inputmappings
        outputs = obj.outputconnections if is_pe else obj.outputmappings
        self.inputs: list[dict[str, Any]] = [{} for _ in inputs]
        self.outputs: list[dict[str, Any]] = [{} for _ in outputs]

    def get_contained_object(self) -> Any:
        """Return the PE or composite."""
        return self.obj

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WorkflowNode) and self.obj is other.obj

    def __hash__(self) -> int:
        return id(self.obj)


class _Listed(list[Any]):
    """A list that can also be called, as in networkx."""

    def __init__(self, make: Callable[..., list[Any]]) -> None:
        super().__init__(make())
        self._make = make

    def __call__(self, *given: Any, **options: Any) -> list[Any]:
        return self._make(*given, **options)


class GraphView:
    """Nodes and edges by the interface of networkx.

    Between two nodes there is one edge with a dict: ``DIRECTION`` is (source, destination),
    ``ALL_CONNECTIONS`` a list of (output, input), ``FROM_CONNECTION`` and ``TO_CONNECTION`` are the
    first of these.

    Args:
        workflow: the graph.
    """

    def __init__(self, workflow: Any) -> None:
        self._nodes = [WorkflowNode(obj) for obj in workflow.get_contained_objects()]
        self._adjacent: dict[WorkflowNode, dict[WorkflowNode, dict[str, Any]]] = {
            node: {} for node in self._nodes
        }
        for source, output, destination, input_name in workflow.edges:
            one, other = WorkflowNode(source), WorkflowNode(destination)
            data = self._adjacent[one].get(other)
            if data is None:
                data = {
                    "FROM_CONNECTION": output,
                    "TO_CONNECTION": input_name,
                    "DIRECTION": (source, destination),
                    "ALL_CONNECTIONS": [],
                }
                self._adjacent[one][other] = self._adjacent[other][one] = data
            data["ALL_CONNECTIONS"].append((output, input_name))

    @property
    def nodes(self) -> _Listed:
        """The nodes; ``nodes(data=True)`` returns pairs with an empty dict."""
        return _Listed(
            lambda data=False: [(node, {}) if data else node for node in self._nodes],
        )

    @property
    def edges(self) -> _Listed:
        """Pairs of nodes; ``edges(node)`` returns those of a node, ``data=True`` adds the dict."""
        return _Listed(self._list_edges)

    def _list_edges(self, node: WorkflowNode | None = None, data: bool = False) -> list[Any]:
        found, seen = [], set()
        for one in self._nodes if node is None else [node]:
            for other, data_of in self._adjacent[one].items():
                if id(data_of) not in seen:
                    seen.add(id(data_of))
                    found.append((one, other, data_of) if data else (one, other))
        return found

    def neighbors(self, node: WorkflowNode) -> Iterator[WorkflowNode]:
        """Return the nodes that have an edge with a node."""
        return iter(self._adjacent[node])

    def has_edge(self, one: WorkflowNode, other: WorkflowNode) -> bool:
        """Return whether there is an edge, in either direction."""
        return other in self._adjacent.get(one, {})

    def number_of_nodes(self) -> int:
        """Return the number of nodes."""
        return len(self._nodes)

    def number_of_edges(self) -> int:
        """Return the number of pairs of nodes that have an edge."""
        return len(self._list_edges())

    def __getitem__(self, node: WorkflowNode) -> dict[WorkflowNode, dict[str, Any]]:
        return self._adjacent[node]

    def __contains__(self, node: object) -> bool:
        return node in self._adjacent

    def __iter__(self) -> Iterator[WorkflowNode]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)
