"""What observers cost: five identity stages at tiny items, with an observer and without."""

import pytest

from d4py_conformance.bench.measure import by_turns
from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.suite import chain
from dispel4py import run

#: So many that the start of a run does not count.
COUNTS = {
    "simple": 8_000_000,
    "multi": 5_000_000,
    "dyn_multi": 5_000_000,
    "hybrid_redis": 4_000_000,
}


class Nothing:
    """An observer that does nothing."""

    def on_event(self, event):
        pass


def rate(mapping, observers):
    """Items per second."""
    graph = chain(Numbers(), *(Relay(f"Stage{i}") for i in range(4)))
    options = {} if mapping == "simple" else {"processes": 5}
    count = COUNTS[mapping]
    result = run(
        graph, mapping, count, observers=observers, on_result=lambda *result: None, **options
    )
    return count / result.stats.seconds


@pytest.mark.benchmark(group="tiny items, observed")
@pytest.mark.parametrize("mapping", COUNTS)
def test_observed_runs(benchmark, capsys, mapping):
    by_turns(
        benchmark,
        capsys,
        "items/s",
        lambda: rate(mapping, [Nothing()]),
        not_observed=lambda: rate(mapping, []),
    )
