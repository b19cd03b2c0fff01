"""The suite is whole: each rule has a test, and random graphs find what they are there to find."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, find, settings

from d4py_conformance import MappingConformance, differences, mutants
from d4py_conformance.expected.random_graphs import random_graphs
from dispel4py import run

#: The rules of the section *Semantics* of DESIGN.md.
RULES = re.findall(
    r"\w+",
    """
    g1 g2 g3 g4 g5
    i1 i2 i3 i4 i5 i6 i7 i8 i9 i10 i11 i12
    m1 m2 m3 m4 m5 m6 m7
    c1 c2 c3 c4 c5 c6 c7 c8 c9
    d1 d2 d3
    h1 h2
    """,
)
DESIGN = Path(__file__).parents[2] / "DESIGN.md"


@pytest.mark.skipif(not DESIGN.exists(), reason="these tests are not in their repository")
def test_these_are_the_rules_of_the_design():
    written = re.findall(r"^- \*\*([A-Z]\d+)\*\* ", DESIGN.read_text(), re.MULTILINE)
    assert [rule.lower() for rule in written] == RULES


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_test_with_its_number(rule):
    assert [name for name in dir(MappingConformance) if name.startswith(f"test_{rule}_")]


def test_every_other_test_runs_a_workflow_or_looks_at_the_class():
    known = tuple(f"test_{what}_" for what in (*RULES, "workflow", "standard"))
    names = [name for name in dir(MappingConformance) if name.startswith("test_")]
    assert [name for name in names if not f"{name}_".startswith(known)] == []


@pytest.mark.parametrize(
    "kind",
    [
        mutants.DropsAnItem,
        mutants.DuplicatesAnItem,
        mutants.IgnoresGroupings,
        mutants.LastEdgeOnly,
        mutants.SkipsPostprocess,
    ],
)
def test_few_random_graphs_are_enough_to_find_what_is_wrong(kind):
    def is_wrong(random_graph):
        outputs = run(random_graph.graph(), kind(), random_graph.calls).outputs
        return bool(differences(random_graph.expected(), outputs))

    find(
        random_graphs(kind.capabilities),
        is_wrong,
        settings=settings(
            max_examples=MappingConformance.random_graphs,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
