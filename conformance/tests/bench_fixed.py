"""Mappings that give each instance a process: throughput, waiting, latency, beginning and end.

Each test measures the ground in the same rounds (`d4py_conformance.probes`), and, if
D4PY_PEER_PYTHON names the Python of an environment that holds dispel4py of old, what that does with
the same workflow.  Figures and ratios are kept in each benchmark's `extra_info`.
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


def by_turns(benchmark, capsys, unit, ours, **others):
    """Measure several things in turn, round after round: what else the machine does hits them all.

    Keeps and prints the medians of the rounds' figures and of their ratios.

    Args:
        unit: of what the functions return.
        ours: a function.
        others: functions by name; None where there is no such thing here.
    """
    figures = {"ours": []}

    def measure_others():
        for name, other in others.items():
            if other is not None:
                figures.setdefault(name, []).append(other())

    benchmark.pedantic(
        lambda: figures["ours"].append(ours()),
        setup=measure_others,
        rounds=ROUNDS,
        warmup_rounds=1,
    )
    lines = []
    for name, values in figures.items():
        figure = statistics.median(values[1:])
        benchmark.extra_info[f"{name} {unit}"] = figure
        lines.append(f"{name:24} {figure:12,.4g} {unit:6}")
        if name != "ours":
            ratios = [one / other for one, other in zip(figures["ours"], values, strict=True)]
            ratio = benchmark.extra_info[f"ratio to {name}"] = statistics.median(ratios[1:])
            lines[-1] += f" ours / this: {ratio:.3f}"
    with capsys.disabled():
        print(f"\n{benchmark.name}", *lines, sep="\n  ")


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
    """A function that measures the peer with ``work(mapping, python)``; None if there is none."""
    if PEER is None or mapping not in PEERS:
        return None
    return lambda: work(PEERS[mapping], PEER)


@pytest.mark.benchmark(group="tiny items, five hops, six processes")
@every_mapping
def test_five_hops(benchmark, capsys, mapping):
    count, hops = 1_000_000, probes.STAGES
    few = count // 20
    probe = {"multi": probes.pipe, "zmq_multi": probes.zeromq}[mapping]
    by_turns(
        benchmark,
        capsys,
        "hops/s",
        lambda: count * hops / seconds(flows.five_hops, mapping, count, 6),
        one_hop_in_batches=lambda: count / probe(count),
        peer=peer(mapping, lambda m, python: few * hops / elapsed(m, "five_hops", few, 6, python)),
    )


@pytest.mark.benchmark(group="tiny items, five hops, six processes")
@pytest.mark.skipif(len(MAPPINGS) < 2, reason="zmq_multi is not installed")
def test_five_hops_of_zmq_multi_and_multi(benchmark, capsys):
    count, hops = 1_000_000, probes.STAGES
    by_turns(
        benchmark,
        capsys,
        "hops/s",
        lambda: count * hops / seconds(flows.five_hops, "zmq_multi", count, 6),
        multi=lambda: count * hops / seconds(flows.five_hops, "multi", count, 6),
    )


@pytest.mark.benchmark(group="tiny items, five hops, six processes")
@pytest.mark.skipif("mpi" not in available(), reason="mpi is not installed")
def test_five_hops_of_mpi(benchmark, capsys):
    count, hops = 1_000_000, probes.STAGES
    by_turns(
        benchmark,
        capsys,
        "hops/s",
        lambda: count * hops / elapsed("mpi", "five_hops", count, 6),
        multi=lambda: count * hops / elapsed("multi", "five_hops", count, 6),
    )


@pytest.mark.benchmark(group="arrays of 1 MiB, three hops")
@every_mapping
def test_arrays(benchmark, capsys, mapping):
    pytest.importorskip("numpy")
    count, hops = 2_000, 3
    few = count // 10
    by_turns(
        benchmark,
        capsys,
        "hops/s",
        lambda: count * hops / seconds(flows.three_hops, mapping, count, 4),
        one_hop_by_shared_memory=lambda: count / probes.shared_arrays(count),
        peer=peer(mapping, lambda m, python: few * hops / elapsed(m, "three_hops", few, 4, python)),
    )


@pytest.mark.benchmark(group="waiting for 4 s in all, on 16 instances")
@every_mapping
def test_waits(benchmark, capsys, mapping):
    each = 400
    count, processes = each * flows.WAITERS, flows.WAITERS + 1

    def wait():
        for _ in range(each):
            time.sleep(flows.WAIT)

    by_turns(
        benchmark,
        capsys,
        "s",
        lambda: seconds(flows.waits, mapping, count, processes),
        ideal=lambda: each * flows.WAIT,
        plain_processes=lambda: probes.side_by_side(wait, flows.WAITERS),
        peer=peer(mapping, lambda m, python: elapsed(m, "waits", count, processes, python)),
    )


@pytest.mark.benchmark(group="computing on two instances")
@every_mapping
def test_burns(benchmark, capsys, mapping):
    count = 300

    def burn_half():
        for _ in range(count // 2):
            flows.burn()

    by_turns(
        benchmark,
        capsys,
        "s",
        lambda: seconds(flows.burns, mapping, count, 3),
        plain_processes=lambda: probes.side_by_side(burn_half, 2),
        peer=peer(mapping, lambda m, python: elapsed(m, "burns", count, 3, python)),
    )


@pytest.mark.benchmark(group="one item in six processes, the whole command")
@every_mapping
def test_whole_command(benchmark, capsys, mapping):
    def whole(mapping, python=sys.executable):
        started_at = time.monotonic()
        return command(mapping, "five_hops", 1, 6, python)[1] - started_at

    by_turns(
        benchmark,
        capsys,
        "s",
        lambda: whole(mapping),
        plain_processes=lambda: probes.start_interpreter(6),
        peer=peer(mapping, whole),
    )


@pytest.mark.benchmark(group="a lone item, five hops")
@every_mapping
def test_lone_items(benchmark, capsys, mapping):
    count = 20

    def delay():
        (delays,) = run(flows.lone, mapping, count, 6).outputs["Delays5"]["output"]
        return 1000 * statistics.median(delays)

    def delay_of_peer(mapping, python):
        printed, _ = command(mapping, "lone", count, 6, python)
        return 1000 * statistics.median(reported(printed))

    by_turns(
        benchmark,
        capsys,
        "ms",
        delay,
        plain_pipes=lambda: 1000 * probes.lone_items(count, flows.PAUSE),
        peer=peer(mapping, delay_of_peer),
    )


@pytest.mark.benchmark(group="from the last item to the end of the run")
@every_mapping
def test_end_of_run(benchmark, capsys, mapping):
    def rest():
        result = run(flows.ending, mapping, 10_000, 6)
        ended_at = time.monotonic()
        (arrivals,) = result.outputs["Arrivals5"]["output"]
        return 1000 * (ended_at - arrivals[-1])

    def rest_of_peer(mapping, python):
        # The command's end, so that of the interpreter too.
        printed, ended_at = command(mapping, "ending", 1_000, 6, python)
        return 1000 * (ended_at - reported(printed)[-1])

    by_turns(benchmark, capsys, "ms", rest, peer=peer(mapping, rest_of_peer))
