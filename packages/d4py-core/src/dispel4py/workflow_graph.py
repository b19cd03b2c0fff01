"""`WorkflowGraph`: PEs and the edges between them, in the order in which they were added.

An edge connects an output to an input; there may be several between the same two PEs.  A graph may
contain other graphs (composites), whose ports are named by `inputmappings` and `outputmappings`;
`flatten` replaces them by their PEs.

    >>> from dispel4py import ProducerPE, ConsumerPE
    >>> graph = WorkflowGraph()
    >>> graph.connect(ProducerPE(), "output", ConsumerPE(), "input")
    >>> [pe.name for pe in graph.get_contained_objects()]
    ['ProducerPE', 'ConsumerPE']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from dispel4py.core import GenericPE, make_pe_id
from dispel4py.errors import GraphError, UsageError, name_list

if TYPE_CHECKING:
    from dispel4py.graph_view import GraphView, WorkflowNode

Node = Union[GenericPE, "WorkflowGraph"]


class Edge(NamedTuple):
    """A connection of an output to an input."""

    source: Any
    output: str
    destination: Any
    input: str


class WorkflowGraph:
    """PEs (or graphs in place of a PE) and the edges between them.

    Attributes:
        inputmappings: as a composite, input name → (node inside, its input).
        outputmappings: as a composite, output name → (node inside, its output).
        partitions: lists of PEs that a fixed mapping runs in one process each; None lets the
            mapping choose.
        edges: all edges, in the order in which they were connected.
    """

    def __init__(self) -> None:
        self.inputmappings: dict[str, tuple[Any, str]] = {}
        self.outputmappings: dict[str, tuple[Any, str]] = {}
        self.partitions: list[list[Any]] | None = None
        self.edges: list[Edge] = []
        self._nodes: dict[int, Node] = {}

    def add(self, node: Node) -> None:
        """Add a PE or a composite; one that was added before keeps its place.

        Raises:
            TypeError: the object is neither, or its class did not call ``super().__init__()``.
        """
        if not isinstance(node, GenericPE | WorkflowGraph):
            raise TypeError(
                f"a graph contains PEs and graphs, not {type(node).__name__}: {node!r}"
                + _how_to_add(node)
            )
        if not hasattr(node, "inputconnections" if isinstance(node, GenericPE) else "_nodes"):
            raise TypeError(
                f"{type(node).__name__} is not set up: call super().__init__() in its __init__"
            )
        self._nodes.setdefault(id(node), node)

    def connect(
        self, from_node: Node, from_connection: str, to_node: Node, to_connection: str
    ) -> None:
        """Connect output `from_connection` of a node to input `to_connection` of another.

        Nodes that are not in the graph are added.  The names of ports are checked when the graph is
        run, all at once.

        Raises:
            TypeError: see `add`.
        """
        self.add(from_node)
        self.add(to_node)
        self.edges.append(Edge(from_node, from_connection, to_node, to_connection))

    def get_contained_objects(self) -> list[Node]:
        """Return the PEs and composites of this graph, in the order in which they were added."""
        return list(self._nodes.values())

    #: Name of dispel4py before 2.0.
    getContainedObjects = get_contained_objects

    @property
    def graph(self) -> GraphView:
        """The nodes and edges by the interface of networkx, for workflows of dispel4py."""
        from dispel4py.graph_view import GraphView

        return GraphView(self)

    def _repr_svg_(self) -> str | None:
        """Return a drawing for notebooks; None without the program ``dot``, or if it is wrong."""
        drawing = import_module("dispel4py.drawing")  # which imports this module
        try:
            svg: bytes = drawing.drawDot(self, "svg")
        except UsageError:
            return None
        return svg.decode()

    @property
    def objToNode(self) -> dict[Any, WorkflowNode]:
        """PE or composite → its node in `graph`."""
        return {node.obj: node for node in self.graph}

    def flatten(self) -> WorkflowGraph:
        """Return a new graph in which every composite is replaced by its contents, to any depth.

        The PEs are the same objects; neither they nor this graph are changed.

        Raises:
            GraphError: a composite lacks a port, contains itself, or maps a port to a node that it
                does not contain.
        """
        flat, problems = flatten(self)
        if problems:
            raise GraphError(problems)
        return flat

    def propagate_types(self) -> None:
        """Set the input types of every PE from the output types of the PEs upstream.

        Calls `GenericPE.set_input_types` of the PEs of this graph.

        Raises:
            GraphError: the graph has a cycle.
        """
        flat = self.flatten()
        incoming: dict[int, list[Edge]] = {}
        for edge in flat.edges:
            incoming.setdefault(id(edge.destination), []).append(edge)
        for pe in topological_order(flat):
            types: dict[str, Any] = {}
            for edge in incoming.get(id(pe), ()):
                known = edge.source.get_output_types()
                if edge.output in known:
                    types[edge.input] = known[edge.output]
            if types:
                pe.set_input_types(types)


def flatten(graph: WorkflowGraph) -> tuple[WorkflowGraph, list[str]]:
    """Return a flattened graph and the problems that were found; see `WorkflowGraph.flatten`.

    An edge to a port that does not exist is omitted.

    Raises:
        GraphError: a composite contains itself.
    """
    flat = WorkflowGraph()
    problems: list[str] = []
    for pe in _pes_in(graph):
        flat.add(pe)
    for composite in all_graphs(graph):
        for edge in composite.edges:
            source = _resolve(edge.source, edge.output, "output", problems)
            destination = _resolve(edge.destination, edge.input, "input", problems)
            if source is not None and destination is not None:
                flat.connect(*source, *destination)
    if graph.partitions is not None:
        flat.partitions = [
            [pe for node in part for pe in _pes_in(node)] for part in graph.partitions
        ]
    return flat, list(dict.fromkeys(problems))


def topological_order(flat: WorkflowGraph) -> list[GenericPE]:
    """Return the PEs of a flattened graph in topological order.

    Follows one path before the next, in the order in which PEs were added.

    Algorithm: A. B. Kahn, "Topological sorting of large networks", CACM 5 (11), 1962.

    Raises:
        GraphError: the graph has a cycle, which the message lists.
    """
    nodes: list[Any] = flat.get_contained_objects()
    position = {id(pe): i for i, pe in enumerate(nodes)}
    successors: list[list[int]] = [[] for _ in nodes]
    waiting_for = [0] * len(nodes)
    for edge in flat.edges:
        successors[position[id(edge.source)]].append(position[id(edge.destination)])
        waiting_for[position[id(edge.destination)]] += 1
    ready = [i for i in reversed(range(len(nodes))) if waiting_for[i] == 0]
    order: list[GenericPE] = []
    while ready:
        i = ready.pop()
        order.append(nodes[i])
        for j in reversed(successors[i]):
            waiting_for[j] -= 1
            if waiting_for[j] == 0:
                ready.append(j)
    if len(order) < len(nodes):
        raise GraphError([_describe_cycle(nodes, successors, waiting_for)])
    return order


def _describe_cycle(nodes: list[Any], successors: list[list[int]], waiting_for: list[int]) -> str:
    # Every remaining node has a remaining predecessor, so walking backwards finds a cycle.
    predecessor = {j: i for i, after in enumerate(successors) if waiting_for[i] > 0 for j in after}
    i = next(i for i, count in enumerate(waiting_for) if count > 0)
    walked: dict[int, None] = {}
    while i not in walked:
        walked[i] = None
        i = predecessor[i]
    loop = [i]
    for j in reversed(walked):
        loop.append(j)
        if j == i:
            break
    return "the graph has a cycle: " + " → ".join(make_pe_id(nodes[i], i) for i in loop)


def _pes_in(node: Node) -> list[GenericPE]:
    """Return the PEs of a graph in the order in which they were added, at any depth.

    Raises:
        GraphError: a composite contains itself.
    """
    if isinstance(node, GenericPE):
        return [node]
    found: list[GenericPE] = []
    # The graphs from the outermost to the current one, each with its remaining nodes.
    inside = {id(node): iter(node.get_contained_objects())}
    while inside:
        innermost = next(reversed(inside))
        inner = next(inside[innermost], None)
        if inner is None:
            del inside[innermost]
        elif isinstance(inner, GenericPE):
            found.append(inner)
        elif id(inner) in inside:
            raise GraphError([f"composite {_name_of(inner)} contains itself"])
        else:
            inside[id(inner)] = iter(inner.get_contained_objects())
    return found


def all_graphs(graph: WorkflowGraph) -> list[WorkflowGraph]:
    """Return a graph and all graphs inside it, each once."""
    found = {id(graph): graph}
    queue = [graph]
    for current in queue:
        for node in current.get_contained_objects():
            if isinstance(node, WorkflowGraph) and id(node) not in found:
                found[id(node)] = node
                queue.append(node)
    return list(found.values())


def _resolve(node: Node, port: str, kind: str, problems: list[str]) -> tuple[GenericPE, str] | None:
    """Return the PE and the port that a port of a composite is mapped to; None if there is none."""
    while isinstance(node, WorkflowGraph):
        mappings = node.inputmappings if kind == "input" else node.outputmappings
        if port not in mappings:
            problems.append(
                f"composite {_name_of(node)} has no {kind} {port!r}"
                f" ({kind}s: {name_list(list(mappings))})"
            )
            return None
        inner, inner_port = mappings[port]
        if id(inner) not in node._nodes:
            problems.append(
                f"composite {_name_of(node)} maps its {kind} {port!r} to {_name_of(inner)},"
                " which it does not contain: add() it to the composite"
            )
            return None
        node, port = inner, inner_port
    return node, port


def _name_of(node: Any) -> str:
    return str(getattr(node, "name", type(node).__name__))


#: Names that dispel4py had in this module, and the modules that they are in now.
_MOVED = {
    "WorkflowNode": "dispel4py.graph_view",
    "draw": "dispel4py.drawing",
    "drawDot": "dispel4py.drawing",
    "write_image": "dispel4py.drawing",
}


def __getattr__(name: str) -> Any:
    if name not in _MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MOVED[name]), name)


def _how_to_add(node: object) -> str:
    """Return the remedy for what is no PE; it may be empty."""
    if isinstance(node, type):
        return " (did you mean to call the class?)"
    name = getattr(node, "__name__", "")
    if not callable(node) or not name:
        return ""
    call = "…" if name == "<lambda>" else name
    return f"; make a PE of it: SimpleFunctionPE({call})"
