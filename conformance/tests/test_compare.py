"""What the suite calls a difference, and that the expectations cover every workflow."""

from pathlib import Path

import pytest

import d4py_examples.graph_testing
from d4py_conformance import WORKFLOWS, Case, assert_outputs, differences
from d4py_conformance.pes.copies import Sample
from dispel4py import WorkflowGraph


def compare(expected, actual):
    return differences({"A0": {"output": expected}}, {"A0": {"output": actual}})


def test_order_does_not_matter():
    assert compare([1, 2, [3]], [[3], 2, 1]) == []


def test_missing_and_surplus_items_are_named_with_their_number():
    assert compare(["a", "a", "a", "b"], ["a", ["c"]]) == [
        "A0.output: 3 missing: 'a' (2 times), 'b'",
        "A0.output: 1 too many: ['c']",
    ]


def test_long_differences_are_shortened():
    (line,) = compare(range(100), [])
    assert line == "A0.output: 100 missing: 0, 1, 2, 3, 4, 5, 6, 7, and 92 more kinds"


def test_outputs_without_items_need_not_be_there():
    assert differences({"A0": {"output": []}}, {}) == []
    assert differences({}, {"A0": {"output": []}}) == []
    assert differences({}, {"A0": {"output": [1]}}) == ["A0.output: 1 too many: 1"]


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), (1, True), ((1,), [1]), ({1}, frozenset({1})), ({"a": 1}, {"a": 2}), (b"a", "a")],
)
def test_types_and_values_count(one, other):
    assert len(compare([one], [other])) == 2


@pytest.mark.parametrize(
    "item", [float("nan"), [{"a": {1, 2}}], {"b": [1], "a": 2}, bytearray(b"x"), Sample("A", [1.0])]
)
def test_equal_items_that_cannot_be_hashed_are_equal(item):
    assert compare([item], [item]) == []


def test_numpy_arrays_are_equal_by_type_shape_and_content():
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(6)
    assert compare([array], [array.copy()]) == []
    for other in (array.reshape(2, 3), array.astype("int16"), array + 1):
        assert len(compare([array], [other])) == 2
    objects = numpy.array(["a", None, [1]], dtype=object)
    assert compare([objects], [objects.copy()]) == []


def test_assert_outputs_shows_the_differences():
    with pytest.raises(AssertionError, match=r"A0\.output: 1 missing: 2"):
        assert_outputs({"A0": {"output": [1]}}, {"A0": {"output": [1, 2]}})


def test_every_workflow_has_an_expectation():
    folder = Path(d4py_examples.graph_testing.__file__).parent
    there = {path.stem for path in folder.glob("*.py")} - {"__init__", "testing_PEs"}
    assert set(WORKFLOWS) == there


@pytest.mark.parametrize("case", WORKFLOWS.values(), ids=list(WORKFLOWS))
def test_expectations_name_pes_that_are_in_the_graph(case: Case):
    graph = case.graph()
    assert isinstance(graph, WorkflowGraph)
    ids = {f"{pe.name}{i}" for i, pe in enumerate(graph.flatten().get_contained_objects())}
    expected = case.expected(max(case.sizes))
    assert set(expected) <= ids
    assert any(items for outputs in expected.values() for items in outputs.values())
