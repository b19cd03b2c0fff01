"""load_graph, make_hash and total_size by their old import path."""

import functools
import subprocess
import sys

import pytest

from dispel4py import WorkflowGraph
from dispel4py.errors import WorkflowLoadError
from dispel4py.utils import load_graph, make_hash, total_size

WORKFLOW = """
from dispel4py import ProducerPE, WorkflowGraph
first = WorkflowGraph()
first.add(ProducerPE())
second = WorkflowGraph()
"""


class Slotted:
    __slots__ = ("__hidden", "never_set", "seen")

    def __init__(self, seen):
        self.seen = seen
        self.__hidden = seen


class WithDict:
    def __init__(self, value):
        self.value = value


class Both(Slotted):
    pass


def test_load_graph_takes_a_file_and_the_name_of_the_graph(tmp_path):
    path = tmp_path / "wf.py"
    path.write_text(WORKFLOW)
    graph = load_graph(str(path), "first")
    assert isinstance(graph, WorkflowGraph)
    assert [pe.name for pe in graph.get_contained_objects()] == ["ProducerPE"]


def test_load_graph_of_nothing_is_an_error():
    with pytest.raises(WorkflowLoadError, match="no_such_workflow"):
        load_graph("no_such_workflow")


def test_make_hash_is_the_same_in_every_process():
    code = "from dispel4py.utils import make_hash; print(make_hash(['a', {'b': (1, 2.5)}]))"
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout
        for seed in ("1", "2")
    }
    assert hashes == {f"{make_hash(['a', {'b': (1, 2.5)}])}\n"}


@pytest.mark.parametrize("value", [1, "text", b"x" * 1000, None, 1.5, [], {}, ()])
def test_size_of_a_plain_object_is_its_own(value):
    assert total_size(value) == sys.getsizeof(value)


@pytest.mark.parametrize(
    "make",
    [
        lambda inner: [inner],
        lambda inner: (inner,),
        lambda inner: {1: inner},
        lambda inner: {inner: 1},
        lambda inner: {inner},
        lambda inner: frozenset([inner]),
        WithDict,
        Slotted,
        Both,
        lambda inner: [[WithDict((inner,))]],
    ],
)
def test_size_counts_what_an_object_holds(make):
    # Some dicts of attributes share their keys, which makes their own sizes differ a little.
    assert total_size(make("x" * 100_000)) - total_size(make("")) == pytest.approx(100_000, abs=99)


def test_size_counts_each_part_once():
    shared = b"x" * 100_000
    assert total_size([shared, shared, Slotted(shared)]) < 101_000


def test_size_of_a_cycle_is_finite():
    loop = []
    loop.append(loop)
    assert total_size(loop) == sys.getsizeof(loop)


def test_size_of_a_deep_object_needs_no_recursion():
    deep = functools.reduce(lambda inner, _: [inner], range(100_000), [])
    assert total_size(deep) > 100_000 * sys.getsizeof([])


def test_size_stops_at_classes_modules_and_functions():
    assert total_size([sys, WithDict, functools.reduce, test_load_graph_of_nothing_is_an_error]) < (
        10_000
    )
