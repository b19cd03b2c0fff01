"""Items of 8 MB of several libraries through `multi`, beside a NumPy array of that size.

The root sends one object again and again, and what a run with a single item takes is subtracted:
the start of processes, and the import of the library in each of them.  So the figures are of copies
alone.  Libraries that are not installed are left out.
"""

import importlib.util

import pytest

from d4py_conformance.bench.measure import by_turns, seconds
from d4py_conformance.pes.common import Relay
from dispel4py import ConsumerPE, ProducerPE, WorkflowGraph
from dispel4py.registry import available

#: Numbers of an item, and how many items are sent.
NUMBERS, COUNT = 1_000_000, 300


def numpy():
    import numpy as np

    return np.random.default_rng(1).random(NUMBERS)


def datetime64():
    return numpy().view("M8[s]")


def masked():
    import numpy as np

    return np.ma.masked_less(numpy(), 0.5)


def pandas():
    import pandas as pd

    return pd.DataFrame({"a": numpy()})


def pandas_dates():
    import pandas as pd

    return pd.DataFrame({"a": pd.date_range("2020", periods=NUMBERS, freq="s")})


def astropy():
    from astropy.table import QTable
    from astropy.units import m

    return QTable({"a": numpy() * m})


def obspy():
    from obspy import Trace

    return Trace(numpy())


def polars():
    from polars import DataFrame

    return DataFrame({"a": numpy()})


def pyarrow():
    from pyarrow import table

    return table({"a": numpy()})


def torch():
    from torch import from_numpy

    return from_numpy(numpy())


def nested():
    """A tenth of the size: Python's numbers are larger, and each is an object."""
    return {"values": [numpy()[: NUMBERS // 100].tolist() for _ in range(10)], "station": "here"}


#: Made of NumPy and Python alone.
OF_NUMPY = ("datetime64", "masked", "nested")
KINDS = [datetime64, masked, pandas, pandas_dates, astropy, obspy, polars, pyarrow, torch, nested]


class Source(ProducerPE):
    """Sends an object that it keeps."""

    def __init__(self, make):
        super().__init__()
        self.make = make
        self.kept = None

    def _process(self, inputs):
        if self.kept is None:
            self.kept = self.make()
        return self.kept


class Sink(ConsumerPE):
    def _process(self, data):
        pass


def through_two_hops(make):
    graph, relay = WorkflowGraph(), Relay()
    graph.connect(Source(make), "output", relay, "input")
    graph.connect(relay, "output", Sink(), "input")
    return seconds(graph, "multi", 1 + COUNT, 3) - seconds(graph, "multi", 1, 3)


@pytest.mark.benchmark(group=f"{COUNT} items of 8 MB, two hops of multi")
@pytest.mark.skipif("multi" not in available(), reason="multi is not installed")
@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_objects(benchmark, capsys, make):
    library = make.__name__.partition("_")[0]
    if library not in OF_NUMPY and importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    by_turns(
        benchmark,
        capsys,
        "s",
        lambda: through_two_hops(make),
        numpy_array=lambda: through_two_hops(numpy),
    )
