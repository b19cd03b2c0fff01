"""The graph of a run as parts of an SVG picture: PEs with shares of time, edges with items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from d4py_cli.report.graph_layout import Layout, lay_out
from d4py_cli.report.series import colours
from d4py_cli.report.summary import RunSummary

#: Pixels: size of a PE, from one to the next, and around the picture.
_WIDTH, _HEIGHT, _COLUMN, _ROW, _MARGIN = 170, 50, 270, 84, 14


@dataclass(frozen=True)
class PEBox:
    """The drawing of a PE; lengths in pixels.

    Attributes:
        name: id of the PE.
        x: its left side.
        y: its upper side.
        filled: width of the part that shows its share of the time in calls.
        colour: its colour in all pictures of the report.
        text: a line about it.
    """

    name: str
    x: float
    y: float
    filled: float
    colour: str
    text: str


@dataclass(frozen=True)
class EdgeLine:
    """The drawing of an edge.

    Attributes:
        path: the line, as SVG's path data.
        x: middle of its text.
        y: base line of its text.
        text: number of items.
        title: ports and grouping.
    """

    path: str
    x: float
    y: float
    text: str
    title: str


@dataclass(frozen=True)
class GraphPicture:
    """The drawing of a graph; lengths in pixels."""

    width: float
    height: float
    pe_width: int
    pe_height: int
    pes: list[PEBox]
    edges: list[EdgeLine]


def draw_graph(summary: RunSummary) -> GraphPicture:
    """Return the drawing of the graph of a run."""
    totals = summary.totals()
    all_seconds = sum(total.seconds for total in totals.values()) or 1.0
    edges = () if summary.started is None else summary.started.edges
    layout = lay_out(list(totals), [(edge.source, edge.destination) for edge in edges])
    colour = colours(summary)
    boxes = []
    for name, total in totals.items():
        x, y = layout.places[name]
        share = total.seconds / all_seconds
        boxes.append(
            PEBox(
                name,
                _MARGIN + x * _COLUMN,
                _MARGIN + y * _ROW,
                round(_WIDTH * share, 1),
                colour[name],
                f"{total.calls:,} calls, {share:.0%} of time",
            )
        )
    lines = []
    parallel: dict[tuple[str, str], int] = {}
    for edge, points in zip(edges, layout.paths, strict=True):
        # Edges between the same two PEs are drawn beside each other.
        number = parallel.get((edge.source, edge.destination), 0)
        parallel[edge.source, edge.destination] = number + 1
        items = totals[edge.source].items_out.get(edge.output, 0)
        grouping = "" if edge.grouping == "shuffle" else f", grouping {edge.grouping}"
        title = f"{edge.source}.{edge.output} → {edge.destination}.{edge.input}{grouping}"
        lines.append(_edge_line(points, number, f"{items:,}", title))
    width, height = _size(layout)
    return GraphPicture(width, height, _WIDTH, _HEIGHT, boxes, lines)


def _size(layout: Layout) -> tuple[float, float]:
    width = (max(layout.layers, 1) - 1) * _COLUMN + _WIDTH
    height = (max(layout.rows, 1) - 1) * _ROW + _HEIGHT
    return width + 2 * _MARGIN, height + 2 * _MARGIN


def _edge_line(
    points: Sequence[tuple[float, float]], number: int, text: str, title: str
) -> EdgeLine:
    shift = 14 * ((number + 1) // 2) * (1 if number % 2 else -1)
    first, *between, last = [
        (_MARGIN + x * _COLUMN, _MARGIN + y * _ROW + _HEIGHT / 2 + shift) for x, y in points
    ]
    x, y = first[0] + _WIDTH, first[1]
    path = f"M{x:.0f},{y:.0f}"
    near = between[0] if between else last
    label = ((x + near[0]) / 2, (y + near[1]) / 2 - 4)
    for to_x, to_y in [*((x + _WIDTH / 2, y) for x, y in between), last]:
        middle = (x + to_x) / 2
        path += f" C{middle:.0f},{y:.0f} {middle:.0f},{to_y:.0f} {to_x:.0f},{to_y:.0f}"
        x, y = to_x, to_y
    return EdgeLine(path, *label, text, title)
