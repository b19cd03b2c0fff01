"""Drawings of a graph as DOT or Mermaid text, or as an image made by the program ``dot``.

A PE is a record with its inputs above and its outputs below, a composite is a box around its PEs,
and an edge goes from port to port.  PEs have the same names as in the results of a run.

    >>> from dispel4py import ConsumerPE, ProducerPE, WorkflowGraph
    >>> graph = WorkflowGraph()
    >>> graph.connect(ProducerPE(), "output", ConsumerPE(), "input")
    >>> print(draw_mermaid(graph), end="")
    flowchart TD
      pe0["ProducerPE0"]
      pe1["ConsumerPE1"]
      pe0 -->|"output → input"| pe1
"""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from dispel4py.core import GROUPING, GenericPE, make_pe_id
from dispel4py.errors import OptionError, UsageError
from dispel4py.workflow_graph import WorkflowGraph


class DotMissingError(UsageError):
    """The program ``dot``, which makes images, is not installed."""


def draw(graph: WorkflowGraph) -> str:
    """Return the graph in the DOT language.

    Raises:
        GraphError: an edge is connected to a port that a composite does not have.
    """
    picture = _Picture(graph)
    lines = [
        "digraph workflow {",
        '  graph [fontname="sans-serif"];',
        '  node [shape=record, style="rounded,filled", fillcolor=white, fontname="sans-serif"];',
        '  edge [fontname="sans-serif", fontsize=10];',
        *_dot_box(picture, picture.outermost, "  "),
    ]
    for edge in picture.edges:
        label = f" [label={_dot_quote(edge.grouping)}]" if edge.grouping else ""
        lines.append(
            f"  pe{edge.source}:o{edge.output} -> pe{edge.destination}:i{edge.input}{label};"
        )
    return "\n".join([*lines, "}", ""])


def draw_mermaid(graph: WorkflowGraph) -> str:
    """Return the graph as a Mermaid flowchart, which many web pages and editors can display.

    Raises:
        GraphError: an edge is connected to a port that a composite does not have.
    """
    picture = _Picture(graph)
    lines = ["flowchart TD", *_mermaid_box(picture, picture.outermost, "  ")]
    for edge in picture.edges:
        output = picture.pes[edge.source].outputs[edge.output]
        label = f"{output} → {picture.pes[edge.destination].inputs[edge.input]}"
        if edge.grouping:
            label += f", {edge.grouping}"
        lines.append(f"  pe{edge.source} -->|{_mermaid_quote(label)}| pe{edge.destination}")
    return "\n".join([*lines, ""])


def drawDot(graph: WorkflowGraph, img_type: str = "png") -> bytes:
    """Return an image of the graph, in a format that the program ``dot`` supports.

    Raises:
        DotMissingError: ``dot`` is not installed.
        OptionError: ``dot`` does not support the format.
        GraphError: an edge is connected to a port that a composite does not have.
    """
    text = draw(graph)
    try:
        done = subprocess.run(
            ["dot", f"-T{img_type}"], input=text.encode(), capture_output=True, check=False
        )
    except FileNotFoundError:
        raise DotMissingError(
            "images are made by the program 'dot', which is not installed; install graphviz"
            " (Debian, Ubuntu: apt-get install graphviz; macOS: brew install graphviz),"
            " or use .dot or .mmd, which are text"
        ) from None
    if done.returncode != 0:
        raise OptionError(
            f"dot cannot create an image in format {img_type!r}:"
            f" {done.stderr.decode(errors='replace').strip()}"
        )
    return done.stdout


def write_image(
    graph: WorkflowGraph, filename: str | PathLike[str], img_type: str | None = None
) -> None:
    """Write a drawing of the graph to a file.

    Args:
        graph: the graph.
        filename: path of the file, which is overwritten if it exists.
        img_type: the format; None takes it from the suffix of the file, or PNG without one.
            ``dot``, ``gv`` and ``mmd`` are text and do not need the program ``dot``.

    Raises:
        DotMissingError: ``dot`` is not installed.
        OptionError: ``dot`` does not support the format.
        GraphError: an edge is connected to a port that a composite does not have.
    """
    path = Path(filename)
    kind = (img_type or path.suffix.removeprefix(".") or "png").lower()
    text_of = _TEXT_FORMATS.get(kind)
    path.write_bytes(drawDot(graph, kind) if text_of is None else text_of(graph).encode())


_TEXT_FORMATS: dict[str, Callable[[WorkflowGraph], str]] = {
    "dot": draw,
    "gv": draw,
    "mmd": draw_mermaid,
}


@dataclass
class _PE:
    """The drawing of a PE."""

    name: str
    numprocesses: int
    inputs: list[str]
    outputs: list[str]


@dataclass
class _Box:
    """The PEs directly in a graph, and a box for each composite in it."""

    title: str
    number: int
    pes: list[int] = field(default_factory=list)
    boxes: list[_Box] = field(default_factory=list)


@dataclass
class _Edge:
    """The drawing of an edge: the numbers of its PEs and of their ports."""

    source: int
    output: int
    destination: int
    input: int
    grouping: str


class _Picture:
    """The parts of a drawing, for any language."""

    def __init__(self, graph: WorkflowGraph) -> None:
        flat = graph.flatten()
        nodes: list[Any] = flat.get_contained_objects()
        self._index = {id(pe): i for i, pe in enumerate(nodes)}
        self.pes = [
            _PE(
                make_pe_id(pe, i),
                1 if pe.single else pe.numprocesses,
                list(pe.inputconnections),
                list(pe.outputconnections),
            )
            for i, pe in enumerate(nodes)
        ]
        self._drawn: set[int] = set()
        self._boxes = itertools.count()
        self.outermost = self._box("", graph)
        self.edges = [
            _Edge(
                source := self._index[id(edge.source)],
                _port(self.pes[source].outputs, edge.output),
                destination := self._index[id(edge.destination)],
                _port(self.pes[destination].inputs, edge.input),
                _describe_grouping(edge.destination, edge.input),
            )
            for edge in flat.edges
        ]

    def _box(self, title: str, graph: WorkflowGraph) -> _Box:
        box = _Box(title, next(self._boxes))
        for node in graph.get_contained_objects():
            if isinstance(node, WorkflowGraph):
                name = getattr(node, "name", None) or type(node).__name__
                box.boxes.append(self._box(str(name), node))
            elif id(node) not in self._drawn:  # a PE in several graphs is drawn once
                self._drawn.add(id(node))
                box.pes.append(self._index[id(node)])
        return box

    def label(self, i: int) -> str:
        """Return the name of a PE, with the number of instances if there are several."""
        pe = self.pes[i]
        return pe.name if pe.numprocesses == 1 else f"{pe.name} × {pe.numprocesses}"


def _port(ports: list[str], name: str) -> int:
    """Return the number of a port; one that the PE does not have is added, so that it is drawn."""
    if name not in ports:
        ports.append(name)
    return ports.index(name)


def _describe_grouping(pe: GenericPE, input_name: str) -> str:
    grouping = pe.inputconnections.get(input_name, {}).get(GROUPING)
    if grouping is None:
        return ""
    return grouping if isinstance(grouping, str) else f"group by {list(grouping)}"


def _dot_box(picture: _Picture, box: _Box, indent: str) -> Iterator[str]:
    for i in box.pes:
        yield f"{indent}pe{i} [label={_dot_record(picture, i)}];"
    for inner in box.boxes:
        yield f"{indent}subgraph cluster_{inner.number} {{"
        yield f"{indent}  label={_dot_quote(inner.title)};"
        yield f'{indent}  style="rounded,filled";'
        yield f'{indent}  fillcolor="#0000000f";'
        yield from _dot_box(picture, inner, indent + "  ")
        yield f"{indent}}}"


def _dot_record(picture: _Picture, i: int) -> str:
    pe = picture.pes[i]
    rows = [_dot_ports("i", pe.inputs), _dot_escape(picture.label(i)), _dot_ports("o", pe.outputs)]
    return '"{' + "|".join(row for row in rows if row) + '}"'


def _dot_ports(prefix: str, names: list[str]) -> str:
    ports = "|".join(f"<{prefix}{i}> {_dot_escape(name)}" for i, name in enumerate(names))
    return f"{{{ports}}}" if ports else ""


def _dot_escape(text: str) -> str:
    """Escape a text for a record label, where braces, bars and angle brackets have a meaning."""
    return re.sub(r'([\\{}|<>"])', r"\\\1", text).replace("\n", r"\n")


def _dot_quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _mermaid_box(picture: _Picture, box: _Box, indent: str) -> Iterator[str]:
    for i in box.pes:
        yield f"{indent}pe{i}[{_mermaid_quote(picture.label(i))}]"
    for inner in box.boxes:
        yield f"{indent}subgraph composite{inner.number} [{_mermaid_quote(inner.title)}]"
        yield from _mermaid_box(picture, inner, indent + "  ")
        yield f"{indent}end"


def _mermaid_quote(text: str) -> str:
    """Quote a label; characters that are markup in Mermaid are written as numbers."""
    escaped = re.sub(r'[#"<>&`\\]', lambda found: f"#{ord(found[0])};", text)
    return '"' + escaped.replace("\n", "<br>") + '"'
