"""Aggregates: right for whatever comes, on any number of instances, those that saw nothing too."""

import math
import pickle
import statistics
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispel4py import ProducerPE, WorkflowGraph, run
from dispel4py.core import WRITER
from dispel4py.new.aggregate import (
    AggregatePE,
    AverageParallelPE,
    AverageReducePE,
    ContinuousReducePE,
    CountPE,
    MaxPE,
    MinPE,
    StdDevPE,
    StdDevReducePE,
    SumPE,
    parallel_aggregate,
    parallel_avg,
    parallel_count,
    parallel_max,
    parallel_min,
    parallel_std_dev,
    parallel_sum,
)

ROWS = [[1, 10], [2, 20], [3, 30]]
NEGATIVE = [[-5, -7], [-2, -9]]

numbers = st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9)
# Items, dealt out to any number of instances.
dealt_numbers = st.lists(st.lists(numbers, max_size=20), min_size=1, max_size=6)


class Items(ProducerPE):
    def __init__(self, items):
        super().__init__()
        self.items = items

    def _process(self, inputs):
        for item in self.items:
            self.write("output", item)


class ListWriter(list):
    write = list.append


def feed(pe, items):
    """What a PE writes when it is run by hand."""
    written = pe.outputconnections["output"][WRITER] = ListWriter()
    pe.preprocess()
    for item in items:
        pe.process({"input": item})
    pe.postprocess()
    return list(written)


def results_of(node, items, instances=1):
    """All that a graph Items → node writes; `instances` of the first PE of a composite."""
    if isinstance(node, WorkflowGraph):
        node.get_contained_objects()[0].numprocesses = instances
    graph = WorkflowGraph()
    graph.connect(Items(items), "output", node, "input")
    (outputs,) = run(graph).outputs.values()
    assert list(outputs) == ["output"]
    return outputs["output"]


def merge(make_instance, reduce_pe, dealt):
    """What `reduce_pe` writes of the partial results of one instance per list of items."""
    partial = [result for items in dealt for result in feed(make_instance(), items)]
    (result,) = feed(reduce_pe, partial)
    return result


@pytest.mark.parametrize("instances", [1, 2, 5])
@pytest.mark.parametrize(
    ("make", "items", "expected"),
    [
        (parallel_count, ROWS, [3]),
        (parallel_sum, ROWS, [6]),
        (lambda: parallel_sum([0, 1]), ROWS, [6, 60]),
        (lambda: parallel_sum([1]), ROWS, [60]),
        (lambda: parallel_sum(["k"]), [{"k": 4}, {"k": 5}], [9]),
        (parallel_min, ROWS, [1]),
        (lambda: parallel_min([1]), ROWS, [10]),
        (lambda: parallel_max([0, 1]), ROWS, [3, 30]),
        (lambda: parallel_max([0, 1]), NEGATIVE, [-2, -7]),
        (lambda: parallel_min([0, 1]), NEGATIVE, [-5, -9]),
        (parallel_avg, ROWS, [2.0, 3, 6]),
        (lambda: parallel_avg(1), ROWS, [20.0, 3, 60]),
        (parallel_std_dev, ROWS, (1.0, 2.0, 3, 6)),
        (lambda: parallel_std_dev(1), ROWS, (10.0, 20.0, 3, 60)),
        (parallel_std_dev, [[4]], (None, 4.0, 1, 4)),
        (parallel_std_dev, [[4], [4]], (0.0, 4.0, 2, 8)),
    ],
)
def test_parallel_aggregates(make, items, expected, instances):
    (result,) = results_of(make(), items, instances)
    assert result == pytest.approx(expected)
    assert type(result) is type(expected)


@pytest.mark.parametrize("instances", [1, 3])
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (parallel_count, [0]),
        (lambda: parallel_sum([0, 1]), [0, 0]),
        (lambda: parallel_min([0, 1]), [None, None]),
        (lambda: parallel_max([1]), [None]),
        (lambda: parallel_avg(1), [None, 0, 0]),
        (parallel_std_dev, (None, None, 0, 0)),
    ],
)
def test_parallel_aggregates_of_an_empty_stream(make, expected, instances):
    assert results_of(make(), [], instances) == [expected]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (CountPE, [3]),
        (lambda: SumPE([0, 1]), [6, 60]),
        (lambda: MaxPE([0, 1]), [3, 30]),
        (lambda: MinPE([0, 1]), [1, 10]),
        (lambda: AverageParallelPE(1), [20.0, 3, 60]),
        (lambda: StdDevPE(1), (10.0, 3, 60, 1400)),
    ],
)
def test_aggregates_by_themselves_write_once_at_the_end(make, expected):
    assert results_of(make(), ROWS) == [expected]


def test_count_takes_any_item():
    assert results_of(parallel_count(), [3, "three", None, {}], 2) == [[4]]


def test_min_and_max_pass_over_none():
    items = [[None], [-3], [None], [-8]]
    assert results_of(parallel_max(), items, 3) == [[-3]]
    assert results_of(parallel_min(), items, 3) == [[-8]]


class InPlace:
    """Adds in place where it can, as an array does."""

    def __init__(self, number):
        self.number = number

    def __add__(self, other):
        return InPlace(self.number + getattr(other, "number", other))

    __radd__ = __add__

    def __iadd__(self, other):
        self.number += other.number
        return self


@pytest.mark.parametrize("make", [SumPE, ContinuousReducePE, AverageParallelPE])
def test_sums_leave_the_items_alone(make):
    pe, items = make(), [[InPlace(1)], [InPlace(2)]]
    pe.outputconnections["output"][WRITER] = ListWriter()
    for item in items:
        pe.process({"input": item})
    assert [item[0].number for item in items] == [1, 2]


def test_sums_keep_the_kind_of_number():
    assert feed(SumPE([0]), [[Fraction(1, 3)], [Fraction(2, 3)]]) == [[1]]
    assert feed(SumPE([0]), [[10**30], [1]]) == [[10**30 + 1]]


def test_continuous_reduce_writes_the_sum_so_far_after_every_item():
    written = results_of(ContinuousReducePE([0, 1]), ROWS)
    assert written == [[1, 10], [3, 30], [6, 60]]


def test_continuous_reduce_of_nothing_writes_nothing():
    assert feed(ContinuousReducePE(), []) == []


class Product(ContinuousReducePE):
    def __init__(self):
        super().__init__()
        self.value = [1]

    def _process(self, data):
        self.value[0] *= data[0]


def test_continuous_reduce_can_be_overridden():
    """What is written does not change when the aggregate does."""
    assert feed(Product(), [[2], [3], [4]]) == [[2], [6], [24]]


class Longest(AggregatePE):
    def _process(self, inputs):
        item = inputs["input"]
        if self.value[0] is None or len(item) > len(self.value[0]):
            self.value = [item]


class Joined(AggregatePE):
    initial = ""

    def _combine(self, value, new):
        return value + new


def test_own_aggregates_run_in_parallel():
    composite = parallel_aggregate(Joined(), Joined())
    assert results_of(composite, [["a"], ["b"]]) == [["ab"]]
    assert feed(Longest(), ["one", "three"]) == [["three"]]


def test_aggregate_that_overrides_nothing_says_what_to_override():
    with pytest.raises(NotImplementedError, match="AggregatePE overrides neither _combine nor"):
        feed(AggregatePE(), [[1]])


@pytest.mark.parametrize(
    "make", [parallel_count, parallel_sum, parallel_min, parallel_max, parallel_avg]
)
def test_reduce_pe_is_one_instance_that_gets_everything(make):
    _, reduce_pe = make().get_contained_objects()
    assert reduce_pe.single
    assert reduce_pe.inputconnections["input"]["grouping"] == "global"


def test_reduce_pes_have_their_old_names():
    makers = [parallel_count, parallel_sum, parallel_min, parallel_max, parallel_avg]
    names = [make().get_contained_objects()[1].name for make in [*makers, parallel_std_dev]]
    assert names == ["CountReduce", "SumPE", "MinPE", "MaxPE", "AverageReducePE", "StdDevReducePE"]


@given(dealt_numbers)
def test_average_is_the_same_however_items_are_dealt(dealt):
    every = [number for numbers in dealt for number in numbers]
    items = [[[0, number] for number in numbers] for numbers in dealt]
    average, count, total = merge(lambda: AverageParallelPE(1), AverageReducePE(), items)
    assert count == len(every)
    assert total == pytest.approx(math.fsum(every), rel=1e-9, abs=1e-3)
    if every:
        assert average == pytest.approx(statistics.fmean(every), rel=1e-9, abs=1e-3)
    else:
        assert average is None


@given(dealt_numbers)
def test_deviation_is_the_same_however_items_are_dealt(dealt):
    every = [number for numbers in dealt for number in numbers]
    items = [[[number] for number in numbers] for numbers in dealt]
    deviation, mean, count, total = merge(StdDevPE, StdDevReducePE(), items)
    assert count == len(every)
    assert total == pytest.approx(math.fsum(every), rel=1e-9, abs=1e-3)
    assert (mean is None) == (count == 0)
    if count < 2:
        assert deviation is None
    else:
        assert deviation == pytest.approx(statistics.stdev(every), rel=1e-6, abs=1e-3)


@given(st.lists(st.lists(st.integers(), max_size=8), min_size=1, max_size=5))
def test_min_and_max_are_the_same_however_items_are_dealt(dealt):
    every = [number for numbers in dealt for number in numbers]
    items = [[[number] for number in numbers] for numbers in dealt]
    assert merge(MinPE, MinPE(), items) == [min(every, default=None)]
    assert merge(MaxPE, MaxPE(), items) == [max(every, default=None)]


@pytest.mark.parametrize("offset", [1e9, -1e12])
def test_deviation_keeps_its_digits_beside_a_large_mean(offset):
    """A sum of squares less a squared sum has no digit left here."""
    dealt = [[[offset + k] for k in range(start, 1000, 3)] for start in range(3)]
    expected = statistics.stdev(range(1000))
    deviation, *_ = merge(StdDevPE, StdDevReducePE(), dealt)
    assert deviation == pytest.approx(expected, rel=1e-6)
    (alone,) = feed(StdDevPE(), [item for items in dealt for item in items])
    assert alone[0] == pytest.approx(expected, rel=1e-6)


def test_deviation_of_equal_items_is_zero():
    assert feed(StdDevPE(), [[0.1]] * 1000)[0][0] == 0


@pytest.mark.parametrize("kind", [CountPE, SumPE, MinPE, AverageParallelPE, StdDevPE])
def test_aggregates_can_be_pickled_half_way(kind):
    pe = kind()
    pe.process({"input": [1]})
    copied = pickle.loads(pickle.dumps(pe))
    assert feed(copied, [[2]]) == feed(pe, [[2]])
