"""A NumPy function of many numbers in one call, beside the same PE with a number per call."""

import numpy as np
import pytest

from d4py_conformance.bench.measure import by_turns
from d4py_conformance.suite import chain
from dispel4py import ConsumerPE, IterativePE, ProducerPE, run

COUNT = 200_000
#: A tenth as many where each costs ten times as much or more.
SINGLE_COUNT = COUNT // 10
#: Coefficients of a polynomial that stands for a model.
MODEL = np.linspace(-1.0, 1.0, 24)


class Floats(ProducerPE):
    """Sends a number in each call."""

    def _process(self, inputs):
        return 0.5


class Single(IterativePE):
    """Evaluates the model for one number."""

    def _process(self, x):
        return float(np.polyval(MODEL, x))


class Batched(IterativePE):
    """Evaluates the model for many numbers."""

    def _process_batch(self, items):
        return np.polyval(MODEL, np.array(items)).tolist()


class Sink(ConsumerPE):
    """Takes numbers."""

    def _process_batch(self, items):
        pass


def rate(pe, mapping, count):
    """Items per second."""
    options = {} if mapping == "simple" else {"processes": 3}
    result = run(chain(Floats(), pe(), Sink()), mapping, count, **options)
    assert result.stats.items_per_pe()["Sink2"] == count
    return count / result.stats.seconds


@pytest.mark.benchmark(group="a NumPy function, many numbers in a call")
@pytest.mark.parametrize("mapping", ["simple", "multi"])
def test_numbers_in_batches(benchmark, capsys, mapping):
    by_turns(
        benchmark,
        capsys,
        "items/s",
        lambda: rate(Batched, mapping, COUNT),
        single_items=lambda: rate(Single, mapping, SINGLE_COUNT),
    )
