"""Mappings that give each instance a process: throughput, waiting, latency, beginning and end.

Each test measures the ground in the same run (`d4py_conformance.probes`), and, if D4PY_PEER_PYTHON
names the Python of an environment that holds dispel4py of old, what that does with the same
workflow.  Figures and ratios are kept in each benchmark's `extra_info`.
"""

import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from d4py_conformance import probes
from dispel4py import run
from dispel4py.loading import load_module
from dispel4py.registry import available

FILE = Path(__file__).with_name("bench_flows.py")
flows = load_module(str(FILE)).module

MAPPINGS = [name for name in ("multi", "zmq_multi") if name in available()]
PEER = os.environ.get("D4PY_PEER_PYTHON")
#: What there is of peers of each mapping.
PEERS = {"multi": "multi"}
ROUNDS = 5

every_mapping = pytest.mark.parametrize("mapping", MAPPINGS)


def measured(benchmark, work):
    """What `work` returns, as the median of some rounds after one that does not count."""
    values = []
    benchmark.pedantic(lambda: values.append(work()), rounds=ROUNDS, warmup_rounds=1)
    return statistics.median(values[1:])


def often(work):
    return statistics.median(work() for _ in range(ROUNDS))


def seconds(graph, mapping, inputs, processes):
    """How long a run takes, its processes' start and end included."""
    started_at = time.perf_counter()
    result = run(graph, mapping, inputs, processes)
    took = time.perf_counter() - started_at
    assert max(result.stats.items_per_pe().values()) == inputs
    return took


def command(mapping, name, inputs, processes, python=sys.executable):
    """What a run of its own program prints, and when it ended."""
    options = ["-a", name, "-n", str(processes), "-i", str(inputs)]
    ended = subprocess.run(
        [python, "-m", "dispel4py.new.processor", mapping, FILE, *options],
        env={**os.environ, "D4PY_BENCH_PRINT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout, time.monotonic()


def elapsed(*arguments):
    """How long a run takes by its own account."""
    printed, _ = command(*arguments)
    return float(re.search(r"ELAPSED TIME: ([\d.]+)", printed)[1])


def reported(printed):
    """The numbers that a PE has printed."""
    return [float(word) for word in re.search(r"REPORT ([-\d. e]+)", printed)[1].split()]


def peer(mapping, work):
    """The median of what `work(mapping, python)` returns for the peer; {} if there is none."""
    if PEER is None or mapping not in PEERS:
        return {}
    return {"peer": often(lambda: work(PEERS[mapping], PEER))}


def tell(benchmark, capsys, unit, ours, **others):
    """Keep and print a figure, and its ratios to others."""
    benchmark.extra_info[f"ours_{unit}"] = ours
    lines = [f"{'ours':24} {ours:12,.4g} {unit}"]
    for name, other in others.items():
        benchmark.extra_info[f"{name}_{unit}"] = other
        benchmark.extra_info[f"ratio_to_{name}"] = ours / other
        lines.append(f"{name:24} {other:12,.4g} {unit}   ratio {ours / other:.3f}")
    with capsys.disabled():
        print(f"\n{benchmark.name}", *lines, sep="\n  ")


@pytest.mark.benchmark(group="tiny items, five hops, six processes")
@every_mapping
def test_five_hops(benchmark, capsys, mapping):
    count, hops = 1_000_000, probes.STAGES
    probe = {"multi": probes.pipe, "zmq_multi": probes.zeromq}[mapping]
    ground = probes.best_rate(probe, count, hops=1)
    ours = measured(benchmark, lambda: count * hops / seconds(flows.five_hops, mapping, count, 6))
    few = count // 20
    peers = peer(mapping, lambda m, python: few * hops / elapsed(m, "five_hops", few, 6, python))
    tell(benchmark, capsys, "hops/s", ours, one_hop_in_batches=ground, **peers)


@pytest.mark.benchmark(group="tiny items, five hops, six processes")
@pytest.mark.skipif("mpi" not in available(), reason="mpi is not installed")
def test_five_hops_mpi(benchmark, capsys):
    count, hops = 1_000_000, probes.STAGES
    ours = measured(benchmark, lambda: count * hops / elapsed("mpi", "five_hops", count, 6))
    tell(benchmark, capsys, "hops/s", ours)


@pytest.mark.benchmark(group="arrays of 1 MiB, three hops")
@every_mapping
def test_arrays(benchmark, capsys, mapping):
    pytest.importorskip("numpy")
    count, hops = 2_000, 3
    ground = probes.best_rate(probes.shared_arrays, count, hops=1)
    ours = measured(benchmark, lambda: count * hops / seconds(flows.three_hops, mapping, count, 4))
    few = count // 10
    peers = peer(mapping, lambda m, python: few * hops / elapsed(m, "three_hops", few, 4, python))
    tell(benchmark, capsys, "hops/s", ours, one_hop_by_shared_memory=ground, **peers)


@pytest.mark.benchmark(group="waiting for 4 s in all, on 16 instances")
@every_mapping
def test_waits(benchmark, capsys, mapping):
    each = 400
    count = each * flows.WAITERS

    def wait():
        for _ in range(each):
            time.sleep(flows.WAIT)

    ground = often(lambda: probes.side_by_side(wait, flows.WAITERS))
    ours = measured(benchmark, lambda: seconds(flows.waits, mapping, count, flows.WAITERS + 1))
    peers = peer(mapping, lambda m, python: elapsed(m, "waits", count, flows.WAITERS + 1, python))
    ideal = each * flows.WAIT
    tell(benchmark, capsys, "s", ours, ideal=ideal, plain_processes=ground, **peers)


@pytest.mark.benchmark(group="computing on two instances")
@every_mapping
def test_burns(benchmark, capsys, mapping):
    count = 300

    def burn_half():
        for _ in range(count // 2):
            flows.burn()

    grounds = []

    def work():
        # By turns: what else the machine does has its share in both.
        grounds.append(probes.side_by_side(burn_half, 2))
        return seconds(flows.burns, mapping, count, 3)

    ours = measured(benchmark, work)
    peers = peer(mapping, lambda m, python: elapsed(m, "burns", count, 3, python))
    tell(benchmark, capsys, "s", ours, plain_processes=statistics.median(grounds[1:]), **peers)


@pytest.mark.benchmark(group="one item in six processes, the whole command")
@every_mapping
def test_whole_command(benchmark, capsys, mapping):
    def whole(mapping, python=sys.executable):
        started_at = time.monotonic()
        return command(mapping, "five_hops", 1, 6, python)[1] - started_at

    ground = often(lambda: probes.start_interpreter(6))
    ours = measured(benchmark, lambda: whole(mapping))
    tell(benchmark, capsys, "s", ours, plain_processes=ground, **peer(mapping, whole))


@pytest.mark.benchmark(group="a lone item, five hops")
@every_mapping
def test_lone_items(benchmark, capsys, mapping):
    count = 20

    def delay():
        (delays,) = run(flows.lone, mapping, count, 6).outputs["Delays5"]["output"]
        return 1000 * statistics.median(delays)

    ground = 1000 * often(lambda: probes.lone_items(count, flows.PAUSE))
    ours = measured(benchmark, delay)
    peers = peer(
        mapping,
        lambda m, python: (
            1000 * statistics.median(reported(command(m, "lone", count, 6, python)[0]))
        ),
    )
    tell(benchmark, capsys, "ms", ours, plain_pipes=ground, **peers)


@pytest.mark.benchmark(group="from the last item to the end of the run")
@every_mapping
def test_end_of_run(benchmark, capsys, mapping):
    def rest():
        result = run(flows.ending, mapping, 10_000, 6)
        ended_at = time.monotonic()
        (arrivals,) = result.outputs["Arrivals5"]["output"]
        return 1000 * (ended_at - arrivals[-1])

    def rest_of_peer(mapping, python):
        printed, ended_at = command(mapping, "ending", 10_000, 6, python)
        return 1000 * (ended_at - reported(printed)[-1])

    ours = measured(benchmark, rest)
    tell(benchmark, capsys, "ms", ours, **peer(mapping, rest_of_peer))
