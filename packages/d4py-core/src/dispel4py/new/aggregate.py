"""Aggregates over a stream: count, sum, min, max, average and standard deviation.

Items are sequences or dicts, and an aggregate is over ``item[index]``.  Each ``parallel_*``
function returns a composite with ports ``input`` and ``output`` in which any number of instances
aggregate their items, and one PE merges the partial results when the stream has ended.

For an empty stream, count and sum are ``[0]``, min and max ``[None]``, the average is
``[None, 0, 0]`` and the standard deviation ``(None, None, 0, 0)``.

    >>> from dispel4py import ProducerPE, WorkflowGraph, run
    >>> class Rows(ProducerPE):
    ...     def _process(self, inputs):
    ...         for row in ([1, 10], [2, 20], [3, 30]):
    ...             self.write("output", row)
    >>> graph = WorkflowGraph()
    >>> graph.connect(Rows(), "output", parallel_sum([0, 1]), "input")
    >>> run(graph).outputs
    {'SumPE2': {'output': [[6, 60]]}}
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

from dispel4py.base import INPUT_NAME, OUTPUT_NAME, CompositePE
from dispel4py.core import GROUPING, GenericPE


class _OneInOneOutPE(GenericPE):
    INPUT_NAME = INPUT_NAME
    OUTPUT_NAME = OUTPUT_NAME

    def __init__(self) -> None:
        super().__init__()
        self._add_input(self.INPUT_NAME)
        self._add_output(self.OUTPUT_NAME)


class AggregatePE(_OneInOneOutPE):
    """Aggregates items and writes `value` once, when the stream has ended.

    Subclasses override `_combine`, or `_process(inputs)` to change `value` otherwise.

    Args:
        indexes: indexes or keys of an item to aggregate over; ``[0]`` by default.

    Attributes:
        value: the aggregate so far, one entry per index.
    """

    initial: Any = None

    def __init__(self, indexes: Sequence[Any] | None = None) -> None:
        super().__init__()
        self.indexes: Sequence[Any] = [0] if indexes is None else indexes
        self.value: Any = [self.initial] * len(self.indexes)

    def _combine(self, value: Any, new: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} overrides neither _combine nor _process")

    def _process(self, inputs: dict[str, Any]) -> Any:
        item = inputs[self.INPUT_NAME]
        self.value = [
            self._combine(value, item[index])
            for value, index in zip(self.value, self.indexes, strict=True)
        ]

    def _postprocess(self) -> None:
        self.write(self.OUTPUT_NAME, copy.copy(self.value))


class CountPE(AggregatePE):
    """Writes ``[number of items]``."""

    initial = 0

    def __init__(self) -> None:
        super().__init__()

    def _process(self, inputs: dict[str, Any]) -> Any:
        self.value[0] += 1


class SumPE(AggregatePE):
    """Writes the sum at each index."""

    initial = 0

    def _combine(self, value: Any, new: Any) -> Any:
        return value + new


class MinPE(AggregatePE):
    """Writes the minimum at each index; None is ignored."""

    def _combine(self, value: Any, new: Any) -> Any:
        return new if value is None else value if new is None else min(value, new)


class MaxPE(AggregatePE):
    """Writes the maximum at each index; None is ignored."""

    def _combine(self, value: Any, new: Any) -> Any:
        return new if value is None else value if new is None else max(value, new)


class ContinuousReducePE(_OneInOneOutPE):
    """Writes the aggregate so far after every item: the sum at each index.

    Subclasses override `_process(data)` to change `value` otherwise.

    Args:
        indexes: indexes or keys of an item to aggregate over; ``[0]`` by default.

    Attributes:
        value: the aggregate so far, one entry per index.
    """

    def __init__(self, indexes: Sequence[Any] | None = None) -> None:
        super().__init__()
        self.indexes: Sequence[Any] = [0] if indexes is None else indexes
        self.value: Any = [0] * len(self.indexes)

    def process(self, inputs: dict[str, Any]) -> None:
        self._process(inputs[self.INPUT_NAME])
        self.write(self.OUTPUT_NAME, copy.copy(self.value))

    def _process(self, data: Any) -> Any:
        for i, index in enumerate(self.indexes):
            self.value[i] = self.value[i] + data[index]


class AverageParallelPE(_OneInOneOutPE):
    """Writes ``[average, count, sum]`` of ``item[index]``."""

    def __init__(self, index: Any = 0) -> None:
        super().__init__()
        self.index = index
        self.count = 0
        self.sum: Any = 0

    def _process(self, inputs: dict[str, Any]) -> Any:
        self.count += 1
        self.sum = self.sum + inputs[self.INPUT_NAME][self.index]

    def _postprocess(self) -> None:
        self.write(self.OUTPUT_NAME, [_average(self.sum, self.count), self.count, self.sum])


class AverageReducePE(_OneInOneOutPE):
    """Merges the results of `AverageParallelPE` instances into one ``[average, count, sum]``."""

    def __init__(self) -> None:
        super().__init__()
        _gather(self)
        self.count = 0
        self.sum: Any = 0

    def _process(self, inputs: dict[str, Any]) -> Any:
        _, count, total = inputs[self.INPUT_NAME]
        self.count += count
        self.sum = self.sum + total

    def _postprocess(self) -> None:
        self.write(self.OUTPUT_NAME, [_average(self.sum, self.count), self.count, self.sum])


class _Spread:
    """Online count, mean and sum of squared deviations from the mean.

    Algorithms, which are stable if the mean is large compared with the deviation:
    B. P. Welford, "Note on a method for calculating corrected sums of squares and products",
    Technometrics 4 (3), 1962; for merging, T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating
    formulae and a pairwise algorithm for computing sample variances", Stanford, 1979.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: Any = 0
        self.squares: Any = 0  # sum of squared differences from the mean

    def add(self, value: Any) -> None:
        self.count += 1
        difference = value - self.mean
        self.mean = self.mean + difference / self.count
        self.squares = self.squares + difference * (value - self.mean)

    def merge(self, count: int, mean: Any, squares: Any) -> None:
        total = self.count + count
        difference = mean - self.mean
        self.squares += squares + difference * difference * (self.count * count / total)
        self.mean += difference * (count / total)
        self.count = total

    def deviation(self) -> float | None:
        """Return the sample standard deviation (divided by n - 1); None for fewer than two."""
        return None if self.count < 2 else math.sqrt(self.squares / (self.count - 1))


class StdDevPE(_OneInOneOutPE):
    """Writes ``(standard deviation, count, sum, sum of squares)`` of ``item[index]``.

    The sample standard deviation (divided by n - 1) is None for fewer than two items.
    """

    def __init__(self, index: Any = 0) -> None:
        super().__init__()
        self.index = index
        self.sum: Any = 0
        self.sum_squared: Any = 0
        self._spread = _Spread()

    def _process(self, inputs: dict[str, Any]) -> Any:
        value = inputs[self.INPUT_NAME][self.index]
        self._spread.add(value)
        self.sum = self.sum + value
        self.sum_squared = self.sum_squared + value * value

    def _postprocess(self) -> None:
        spread = self._spread
        self.write(self.OUTPUT_NAME, (spread.deviation(), spread.count, self.sum, self.sum_squared))


class StdDevReducePE(_OneInOneOutPE):
    """Merges the results of `StdDevPE` instances: ``(standard deviation, mean, count, sum)``."""

    def __init__(self) -> None:
        super().__init__()
        _gather(self)
        self.sum: Any = 0
        self._spread = _Spread()

    def _process(self, inputs: dict[str, Any]) -> Any:
        deviation, count, total, _ = inputs[self.INPUT_NAME]
        if count:
            squares = 0 if deviation is None else deviation * deviation * (count - 1)
            self._spread.merge(count, total / count, squares)
            self.sum = self.sum + total

    def _postprocess(self) -> None:
        count = self._spread.count
        self.write(
            self.OUTPUT_NAME,
            (self._spread.deviation(), _average(self.sum, count), count, self.sum),
        )


def parallel_aggregate(inst_pe: GenericPE, reduce_pe: GenericPE) -> CompositePE:
    """Return a composite in which one `reduce_pe` merges the results of all `inst_pe` instances.

    The input ``input`` is that of `inst_pe`, the output ``output`` that of `reduce_pe`, which gets
    one instance.  Partial results of `inst_pe` are no undeclared state, since they are merged.
    """
    _gather(reduce_pe)
    inst_pe.ignored_state = (*inst_pe.ignored_state, *vars(inst_pe))
    composite = CompositePE()
    composite.connect(inst_pe, OUTPUT_NAME, reduce_pe, INPUT_NAME)
    composite._map_input(INPUT_NAME, inst_pe, INPUT_NAME)
    composite._map_output(OUTPUT_NAME, reduce_pe, OUTPUT_NAME)
    return composite


def parallel_count() -> CompositePE:
    """Return a composite that writes ``[number of items]``."""
    reduce_pe = SumPE()
    reduce_pe.name = reduce_pe.id = "CountReduce"
    return parallel_aggregate(CountPE(), reduce_pe)


def parallel_sum(indexes: Sequence[Any] | None = None) -> CompositePE:
    """Return a composite that writes the sum at each index."""
    return _parallel(SumPE, indexes)


def parallel_min(indexes: Sequence[Any] | None = None) -> CompositePE:
    """Return a composite that writes the least at each index."""
    return _parallel(MinPE, indexes)


def parallel_max(indexes: Sequence[Any] | None = None) -> CompositePE:
    """Return a composite that writes the greatest at each index."""
    return _parallel(MaxPE, indexes)


def parallel_avg(index: Any = 0) -> CompositePE:
    """Return a composite that writes ``[average, count, sum]`` of ``item[index]``."""
    return parallel_aggregate(AverageParallelPE(index), AverageReducePE())


def parallel_std_dev(index: Any = 0) -> CompositePE:
    """Return a composite that writes ``(standard deviation, mean, count, sum)`` of ``item[index]``.

    The sample standard deviation (divided by n - 1) is None for fewer than two items.
    """
    return parallel_aggregate(StdDevPE(index), StdDevReducePE())


#: Names of dispel4py before 2.0.
parallelCount, parallelSum = parallel_count, parallel_sum
parallelMin, parallelMax = parallel_min, parallel_max
parallelAvg, parallelStdDev = parallel_avg, parallel_std_dev


def _parallel(kind: type[AggregatePE], indexes: Sequence[Any] | None) -> CompositePE:
    inst_pe = kind(indexes)
    # A partial result is a list with one entry per index, whatever the indexes are.
    return parallel_aggregate(inst_pe, kind(range(len(inst_pe.indexes))))


def _gather(pe: GenericPE) -> None:
    """Give a PE one instance, which gets all items."""
    pe.inputconnections[INPUT_NAME][GROUPING] = "global"
    pe.single = True


def _average(total: Any, count: int) -> Any:
    return total / count if count else None
