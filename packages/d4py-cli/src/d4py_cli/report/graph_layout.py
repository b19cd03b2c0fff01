"""Places of the PEs and edges of a graph in a drawing, in layers from left to right.

Source: K. Sugiyama, S. Tagawa, M. Toda, "Methods for visual understanding of hierarchical system
structures", IEEE Transactions on Systems, Man and Cybernetics 11 (1981): each node is one layer
after the last of those before it, edges over several layers go by a point in each, and the nodes of
a layer are sorted by the average place of their neighbours.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 8


@dataclass(frozen=True)
class Layout:
    """The drawing of a graph, in units of one layer and one row.

    Attributes:
        places: node → layer and row of its middle.
        paths: for each edge the points that it goes by, from its source to its destination.
        layers: number of layers.
        rows: largest number of nodes and points in a layer.
    """

    places: dict[Hashable, tuple[float, float]]
    paths: list[list[tuple[float, float]]]
    layers: int
    rows: int


def lay_out(nodes: Sequence[Hashable], edges: Sequence[tuple[Hashable, Hashable]]) -> Layout:
    """Return places for the nodes and edges of a graph without cycles.

    Args:
        nodes: the nodes, in the order in which they are put where it does not matter.
        edges: source and destination of each edge; there may be several between two nodes.
    """
    depth = _depths(nodes, edges)
    layers: list[list[Hashable]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in nodes:
        layers[depth[node]].append(node)
    links: list[tuple[Hashable, Hashable]] = []
    chains = []
    for number, (source, destination) in enumerate(edges):
        chain = [source]
        for layer in range(depth[source] + 1, depth[destination]):
            point = ("point", number, layer)
            layers[layer].append(point)
            chain.append(point)
        chain.append(destination)
        links += pairwise(chain)
        chains.append(chain)
    _sort(layers, links)
    rows = max(map(len, layers), default=0)
    places: dict[Hashable, tuple[float, float]] = {
        node: (float(x), y + (rows - len(layer)) / 2)
        for x, layer in enumerate(layers)
        for y, node in enumerate(layer)
    }
    paths = [[places[node] for node in chain] for chain in chains]
    return Layout({node: places[node] for node in nodes}, paths, len(layers), rows)


def _depths(
    nodes: Iterable[Hashable], edges: Sequence[tuple[Hashable, Hashable]]
) -> dict[Hashable, int]:
    """Return the length of the longest way to each node."""
    depth = dict.fromkeys(nodes, 0)
    for _ in range(len(depth)):
        changed = False
        for source, destination in edges:
            if depth[destination] <= depth[source]:
                depth[destination] = depth[source] + 1
                changed = True
        if not changed:
            break
    return depth


def _sort(layers: list[list[Hashable]], links: list[tuple[Hashable, Hashable]]) -> None:
    before: dict[Hashable, list[Hashable]] = {}
    after: dict[Hashable, list[Hashable]] = {}
    for source, destination in links:
        before.setdefault(destination, []).append(source)
        after.setdefault(source, []).append(destination)
    for sweep in range(_SWEEPS):
        forwards = sweep % 2 == 0
        neighbours = before if forwards else after
        for layer in layers if forwards else reversed(layers):
            place = {
                node: (y + 0.5) / len(members)
                for members in layers
                for y, node in enumerate(members)
            }
            average = {}
            for node in layer:
                near = neighbours.get(node) or [node]
                average[node] = sum(place[other] for other in near) / len(near)
            layer.sort(key=average.__getitem__)
