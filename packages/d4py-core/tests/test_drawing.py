"""Pictures of graphs: as text, by the program dot where it is, and as a clear error where not."""

import os
import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispel4py import (
    BasePE,
    CompositePE,
    ConsumerPE,
    IterativePE,
    ProducerPE,
    WorkflowGraph,
    create_iterative_chain,
)
from dispel4py.drawing import DotMissingError, draw, draw_mermaid, drawDot, write_image
from dispel4py.errors import GraphError, OptionError, UsageError

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def dot():
    """The program dot.  CI has it; elsewhere what needs it is skipped without it."""
    if shutil.which("dot") is None:
        if os.environ.get("CI"):
            pytest.fail("the program dot is missing: apt-get install graphviz")
        pytest.skip("the program dot is missing: apt-get install graphviz")


@pytest.fixture
def no_dot(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))


def join_graph():
    """Two roots, one PE with two inputs of which one is grouped, and several instances."""
    left, right = ProducerPE(), ProducerPE()
    join = BasePE(num_inputs=2, outputs=["out"])
    join.inputconnections["input0"]["grouping"] = [0, "key"]
    join.numprocesses = 4
    graph = WorkflowGraph()
    graph.connect(left, "output", join, "input0")
    graph.connect(right, "output", join, "input1")
    return graph


def nested_graph():
    """Composites in a composite, all of one name."""

    def fill(outer):
        for _ in range(2):
            inner = create_iterative_chain([abs, round])
            inner.name = 'a "chain"'
            outer.add(inner)
        first, second = outer.get_contained_objects()
        outer.connect(first, "output", second, "input")
        outer._map_input("in", first, "input")
        outer._map_output("out", second, "output")

    composite = CompositePE(fill)
    graph = WorkflowGraph()
    graph.connect(ProducerPE(), "output", composite, "in")
    graph.connect(composite, "out", ConsumerPE(), "input")
    return graph


def odd_graph():
    """Names that mean something to DOT, to Mermaid or to nobody."""
    graph = WorkflowGraph()
    source = BasePE(outputs=['a|b {c} <d> "e" \\n'])
    source.name = 'x"];\n} end #quot; `mark` ünï </b> --> \\'
    sink = BasePE(inputs=["", "in put"])
    sink.inputconnections[""]["grouping"] = ['"quoted"']
    graph.connect(source, 'a|b {c} <d> "e" \\n', sink, "")
    graph.connect(source, 'a|b {c} <d> "e" \\n', sink, "in put")
    return graph


GRAPHS = [join_graph, nested_graph, odd_graph, WorkflowGraph]


def plain(graph):
    """What dot makes of a graph: names of nodes, and ends of edges."""
    done = subprocess.run(
        ["dot", "-Tplain"], input=draw(graph).encode(), capture_output=True, check=True, timeout=60
    )
    assert done.stderr == b""
    rows = [line.split(" ") for line in done.stdout.decode().splitlines()]
    nodes = [row[1] for row in rows if row[0] == "node"]
    edges = [tuple(row[1:3]) for row in rows if row[0] == "edge"]
    return nodes, edges


class TestDot:
    def test_pes_are_records_with_ports_and_edges_join_ports(self):
        text = draw(join_graph())
        assert 'pe1 [label="{{<i0> input0|<i1> input1}|BasePE1 × 4|{<o0> out}}"];' in text
        assert 'pe0 [label="{ProducerPE0|{<o0> output}}"];' in text
        assert "pe0:o0 -> pe1:i0 [label=\"group by [0, 'key']\"];" in text
        assert "pe2:o0 -> pe1:i1;" in text

    @pytest.mark.parametrize("grouping", ["all", "global"])
    def test_named_groupings_stand_at_the_edge(self, grouping):
        graph = WorkflowGraph()
        sink = ConsumerPE()
        sink.inputconnections["input"]["grouping"] = grouping
        graph.connect(ProducerPE(), "output", sink, "input")
        assert f'pe0:o0 -> pe1:i0 [label="{grouping}"];' in draw(graph)

    def test_single_pes_have_one_instance(self):
        graph = join_graph()
        graph.get_contained_objects()[1].single = True
        assert "× 4" not in draw(graph)

    def test_several_edges_between_two_pes_are_all_drawn(self):
        source, sink = ProducerPE(), ConsumerPE()
        graph = WorkflowGraph()
        for _ in range(3):
            graph.connect(source, "output", sink, "input")
        assert draw(graph).count("pe0:o0 -> pe1:i0") == 3

    def test_composites_are_clusters_with_names_of_their_own(self):
        text = draw(nested_graph())
        clusters = re.findall(r"subgraph (\S+) {", text)
        assert len(clusters) == len(set(clusters)) == 3
        assert all(name.startswith("cluster") for name in clusters)
        assert text.count('label="a \\"chain\\"";') == 2
        assert "pe2:o0 -> pe3:i0;" in text

    def test_a_pe_in_several_composites_is_drawn_once(self):
        shared = IterativePE()
        graph, inner = WorkflowGraph(), WorkflowGraph()
        inner.add(shared)
        graph.add(inner)
        graph.add(shared)
        assert draw(graph).count("IterativePE0") == 1

    def test_an_edge_to_a_port_that_is_not_there_is_drawn(self):
        graph = WorkflowGraph()
        graph.connect(ProducerPE(), "nowhere", ConsumerPE(), "input")
        assert "<o1> nowhere" in draw(graph)
        assert "pe0:o1 -> pe1:i0;" in draw(graph)

    def test_a_composite_without_the_port_is_an_error(self):
        graph = WorkflowGraph()
        graph.connect(ProducerPE(), "output", CompositePE(), "input")
        with pytest.raises(GraphError, match="CompositePE has no input 'input'"):
            draw(graph)

    def test_drawing_leaves_the_graph_as_it_was(self):
        """G5"""
        graph = nested_graph()
        before = graph.get_contained_objects(), list(graph.edges)
        assert draw(graph) == draw(graph)
        assert (graph.get_contained_objects(), graph.edges) == before

    @pytest.mark.usefixtures("dot")
    def test_dot_sees_the_nodes_and_edges_that_are_there(self):
        assert plain(join_graph()) == (
            ["pe0", "pe1", "pe2"],
            [("pe0", "pe1"), ("pe2", "pe1")],
        )
        nodes, edges = plain(nested_graph())
        assert sorted(nodes) == [f"pe{i}" for i in range(6)]
        assert sorted(edges) == [
            (f"pe{i}", f"pe{j}") for i, j in ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5))
        ]

    @pytest.mark.usefixtures("dot")
    def test_no_name_breaks_the_text(self):
        assert plain(odd_graph()) == (["pe0", "pe1"], [("pe0", "pe1")] * 2)
        svg = drawDot(odd_graph(), "svg").decode()
        assert "a|b {c} &lt;d&gt; &quot;e&quot; \\n" in svg.replace("&#45;", "-")


class TestMermaid:
    def test_edges_name_their_ports_and_grouping(self):
        assert draw_mermaid(join_graph()).splitlines() == [
            "flowchart TD",
            '  pe0["ProducerPE0"]',
            '  pe1["BasePE1 × 4"]',
            '  pe2["ProducerPE2"]',
            "  pe0 -->|\"output → input0, group by [0, 'key']\"| pe1",
            '  pe2 -->|"output → input1"| pe1',
        ]

    def test_composites_are_subgraphs(self):
        text = draw_mermaid(nested_graph())
        names = re.findall(r'subgraph (\w+) \["a #34;chain#34;"\]', text)
        assert len(set(names)) == 2
        assert text.count("subgraph") == len(re.findall(r"^ *end$", text, re.MULTILINE)) == 3

    @given(st.text())
    def test_no_name_ends_its_label(self, name):
        pe = ProducerPE()
        pe.name = name
        graph = WorkflowGraph()
        graph.add(pe)
        _, line, nothing = draw_mermaid(graph).split("\n")
        assert re.fullmatch(r'  pe0\["[^"`\\]*"\]', line, re.DOTALL)
        assert nothing == ""


class TestImages:
    @pytest.mark.usefixtures("dot")
    @pytest.mark.parametrize("make", GRAPHS)
    def test_png(self, make):
        assert drawDot(make()).startswith(PNG)

    @pytest.mark.usefixtures("dot")
    @pytest.mark.parametrize(
        ("name", "starts"), [("g.png", PNG), ("g.SVG", b"<?xml"), ("g", PNG), ("g.pdf", b"%PDF")]
    )
    def test_the_suffix_says_the_format(self, tmp_path, name, starts):
        write_image(join_graph(), tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(starts)

    @pytest.mark.usefixtures("dot")
    def test_the_format_can_be_given(self, tmp_path):
        write_image(join_graph(), str(tmp_path / "picture.out"), "svg")
        assert (tmp_path / "picture.out").read_bytes().startswith(b"<?xml")

    @pytest.mark.usefixtures("dot")
    def test_an_unknown_format_is_an_error_and_leaves_no_file(self, tmp_path):
        with pytest.raises(OptionError, match="format 'nosuch'"):
            write_image(join_graph(), tmp_path / "g.nosuch")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.usefixtures("no_dot")
    def test_without_dot_the_error_says_what_to_install(self):
        with pytest.raises(DotMissingError) as caught:
            drawDot(join_graph())
        assert "apt-get install graphviz" in str(caught.value)
        assert "brew install graphviz" in str(caught.value)
        assert isinstance(caught.value, UsageError)
        assert caught.value.exit_status == 2

    @pytest.mark.usefixtures("no_dot")
    @pytest.mark.parametrize(
        ("name", "text_of"), [("g.dot", draw), ("g.gv", draw), ("g.mmd", draw_mermaid)]
    )
    def test_text_is_written_without_dot(self, tmp_path, name, text_of):
        write_image(nested_graph(), tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8") == text_of(nested_graph())


def test_old_names_are_found_at_the_old_place():
    from dispel4py import workflow_graph

    assert workflow_graph.draw is draw
    assert workflow_graph.drawDot is drawDot
    assert workflow_graph.write_image is write_image
