"""Tiny items through five stages that change nothing, in one process: what `simple` adds to that.

Beside it, by turns: what Python itself does, and other libraries for streams that are installed.
"""

import functools
import importlib.util

import pytest

from d4py_conformance.bench import baselines
from d4py_conformance.bench.measure import by_turns
from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.suite import chain
from dispel4py import run

COUNT = 200_000
#: Other libraries, with how many items take about a tenth of a second or more.
OTHERS = {"bytewax": COUNT, "streamz": COUNT // 10, "ray": COUNT}


def rate(seconds, count=COUNT):
    """Hops per second."""
    return count * baselines.STAGES / seconds(count)


def five_stages(count):
    result = run(chain(Numbers(), *(Relay() for _ in range(baselines.STAGES))), inputs=count)
    assert len(result.outputs["Relay5"]["output"]) == count
    return result.stats.seconds


@pytest.mark.benchmark(group="tiny items, five hops, one process")
def test_five_hops_of_simple(benchmark, capsys):
    others = {
        name: functools.partial(rate, getattr(baselines, name), count)
        for name, count in OTHERS.items()
        if importlib.util.find_spec(name) is not None
    }
    by_turns(
        benchmark,
        capsys,
        "hops/s",
        lambda: rate(five_stages),
        plain_calls=lambda: rate(baselines.plain_calls),
        generators=lambda: rate(baselines.generators),
        **others,
    )
