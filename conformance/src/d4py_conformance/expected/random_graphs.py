"""Random graphs for hypothesis to draw, and a model of what each has to give.

The model is a few lines of plain Python that count items along the edges.  The PEs are such that
the results do not depend on which instance gets which item: what an instance keeps is kept per
group key, and what it reports about itself arrives once per instance.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from dispel4py import GenericPE, WorkflowGraph
from dispel4py.engine.planning.capabilities import Capabilities

#: (group key, number)
Item = tuple[int, int]

_MODULUS = 97
_KEYS = 3
#: A graph in which more items than that arrive somewhere is not random_graph.
_MOST_ITEMS = 1500


@dataclass(frozen=True)
class Spec:
    """What a PE of a random graph does.

    Attributes:
        number: its number in the graph.
        grouping: of both its inputs.
        stateful: keeps state without being grouped.
        single: as a PE's.
        numprocesses: as a PE's.
        writes: sends by writing, not by returning.
        talks: writes in preprocess and postprocess.
        totals: keeps a sum per key, and writes those in postprocess.
    """

    number: int
    grouping: Any = None
    stateful: bool = False
    single: bool = False
    numprocesses: int = 1
    writes: bool = False
    talks: bool = False
    totals: bool = False

    def relayed(self, item: Item, input_name: str) -> Item:
        """Return what it makes of an item."""
        key, value = item
        return key, (value * 3 + self.number + (input_name == "other")) % _MODULUS

    def words(self) -> tuple[Item, Item]:
        """Return what it writes in preprocess and in postprocess."""
        return (self.number % _KEYS, 11), (self.number % _KEYS, 12)

    def sent(self, arrived: list[tuple[Item, str]], *, is_root: bool) -> dict[str, list[Item]]:
        """Return what all its instances send by each output.

        Args:
            arrived: items, each with the name of its input.
            is_root: no edge leads to it.
        """
        instances = 1 if self.single or is_root else self.numprocesses
        copies = instances if self.grouping == "all" else 1
        items = [self.relayed(item, name) for item, name in arrived] * copies
        even = [item for item in items if item[1] % 2 == 0]
        if self.talks:
            items += list(self.words()) * instances
        if self.totals:
            sums: Counter[int] = Counter()
            for (key, value), _ in arrived:
                sums[key] += value
            even += [(key, total % _MODULUS) for key, total in sums.items()]
        return {"output": items, "even": even}


class Node(GenericPE):
    """Does what its `Spec` describes.  A root makes items of its own, one per call.

    If it asks for the ids of items, it sends them on an output of their own.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.numprocesses)
        self._add_input("input", grouping=spec.grouping, optional=True)
        self._add_input("other", grouping=spec.grouping, optional=True)
        self._add_output("output")
        self._add_output("even")
        self._add_output("id")
        self.name = "Node"
        self.spec = spec
        self.single = spec.single
        self.stateful = spec.stateful
        self.made = 0
        self.sums: Counter[int] = Counter()

    def process(self, inputs: dict[str, Any]) -> dict[str, Any] | None:
        if inputs:
            ((name, (key, value)),) = inputs.items()
        else:
            self.made += 1
            name, (key, value) = "input", made(self.made)
        if self.item_ids:
            self.write("id", self.item_id)
        item = self.spec.relayed((key, value), name)
        if self.spec.totals:
            self.sums[key] += value
        sent = {"output": item} if item[1] % 2 else {"output": item, "even": item}
        if not self.spec.writes:
            return sent
        for output, data in sent.items():
            self.write(output, data)
        return None


class LivingNode(Node):
    """The same with a life cycle."""

    def preprocess(self) -> None:
        if self.spec.talks:
            self.write("output", self.spec.words()[0])

    def postprocess(self) -> None:
        for key, total in sorted(self.sums.items()):
            self.write("even", (key, total % _MODULUS))
        if self.spec.talks:
            self.write("output", self.spec.words()[1])


def made(number: int) -> Item:
    """Return what a root makes in one call."""
    return number % _KEYS, number


@dataclass(frozen=True)
class RandomGraph:
    """A graph and how often its roots are called.

    Attributes:
        specs: its PEs.
        edges: (source, output, destination, input).
        calls: of every root.
    """

    specs: tuple[Spec, ...]
    edges: tuple[tuple[int, str, int, str], ...]
    calls: int
    living: bool = field(default=True, repr=False)

    def graph(self, *, item_ids: bool = False, ordered: bool = False) -> WorkflowGraph:
        """Return the graph; its PEs may ask for the ids of items, every second one for order."""
        nodes = [(LivingNode if self.living else Node)(spec) for spec in self.specs]
        graph = WorkflowGraph()
        for node in nodes:
            node.item_ids = item_ids
            for settings in node.inputconnections.values() if ordered else ():
                settings["ordered"] = node.spec.number % 2 == 1
            graph.add(node)
        for source, output, destination, input_name in self.edges:
            graph.connect(nodes[source], output, nodes[destination], input_name)
        return graph

    @property
    def in_order(self) -> set[str]:
        """Ids of PEs whose results have one order, if `graph` is asked for it."""
        fed = {destination for _, _, destination, _ in self.edges}
        if len(fed) < len(self.specs) - 1:
            return set()  # several roots
        return {
            f"Node{spec.number}"
            for spec in self.specs
            if spec.number in fed and spec.number % 2 and (spec.single or spec.numprocesses == 1)
        }

    def expected(self) -> dict[str, dict[str, list[Item]]]:
        """Return what comes out of the outputs that have no edge."""
        sent: dict[tuple[int, str], list[Item]] = {}
        for spec in self.specs:
            ways = [edge for edge in self.edges if edge[2] == spec.number]
            arrived = _arrived(ways, sent) if ways else self._made()
            for output, items in spec.sent(arrived, is_root=not ways).items():
                sent[spec.number, output] = items
        joined = {(source, output) for source, output, _, _ in self.edges}
        outputs: dict[str, dict[str, list[Item]]] = {}
        for (i, output), items in sent.items():
            if items and (i, output) not in joined:
                outputs.setdefault(f"Node{i}", {})[output] = items
        return outputs

    def _made(self) -> list[tuple[Item, str]]:
        """Return what a root makes in all its calls, as if an input had it."""
        return [(made(number), "input") for number in range(1, self.calls + 1)]


def _arrived(
    ways: list[tuple[int, str, int, str]], sent: dict[tuple[int, str], list[Item]]
) -> list[tuple[Item, str]]:
    """Return what arrives by these edges, with the name of the input."""
    return [(item, name) for source, output, _, name in ways for item in sent[source, output]]


@st.composite
def random_graphs(draw: st.DrawFn, capabilities: Capabilities) -> RandomGraph:
    """Graphs that a mapping of these capabilities has to run."""
    size = draw(st.integers(3, 7))
    edges: list[tuple[int, str, int, str]] = []
    specs: list[Spec] = []
    for i in range(size):
        feeds = st.tuples(
            st.integers(0, max(i - 1, 0)),
            st.sampled_from(["output", "even"]),
            st.just(i),
            st.sampled_from(["input", "other"]),
        )
        # The first is a root, and now and then another one.
        fewest = 0 if i == 0 else int(draw(st.integers(0, 5)) != 0)
        ways = draw(st.lists(feeds, min_size=fewest, max_size=3 if i else 0))
        edges += ways
        specs.append(draw(_specs(i, not ways, capabilities)))
    random_graph = RandomGraph(
        tuple(specs), tuple(edges), draw(st.integers(0, 8)), capabilities.lifecycle
    )
    assume(_items(random_graph) <= _MOST_ITEMS)
    return random_graph


@st.composite
def _specs(draw: st.DrawFn, number: int, is_root: bool, capabilities: Capabilities) -> Spec:
    grouping = draw(st.sampled_from(_groupings(capabilities)))
    stateful = capabilities.stateful and draw(st.booleans())
    # How many instances there are of a stateless PE is the mapping's business.
    countable = is_root or stateful or grouping is not None
    return Spec(
        number,
        grouping=grouping,
        stateful=stateful,
        single=draw(st.booleans()),
        numprocesses=draw(st.integers(1, 3)),
        writes=draw(st.booleans()),
        talks=capabilities.lifecycle and countable and draw(st.booleans()),
        totals=capabilities.lifecycle and grouping in ([0], "global") and draw(st.booleans()),
    )


def _groupings(capabilities: Capabilities) -> list[Any]:
    """Groupings that a mapping of these capabilities has to know."""
    groupings: list[Any] = [None]
    if capabilities.stateful and capabilities.group_by:
        groupings += [[0], "global"]
    if capabilities.stateful and capabilities.broadcast:
        groupings += ["all"]
    return groupings


def _items(random_graph: RandomGraph) -> int:
    """Return how many items there are, at most, counted without making any."""
    counts = [0] * len(random_graph.specs)
    for spec in random_graph.specs:
        sources = [
            source for source, _, destination, _ in random_graph.edges if destination == spec.number
        ]
        arrived = sum(counts[source] for source in sources) if sources else random_graph.calls
        copies = spec.numprocesses if spec.grouping == "all" else 1
        counts[spec.number] = arrived * copies + 2 * spec.numprocesses + _KEYS
    return sum(counts)
