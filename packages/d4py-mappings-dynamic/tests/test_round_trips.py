"""What a lone item costs in calls of the store, and that a run without work makes none.

Workers that wait and a feeder whose root is behind are told by the store; they ask for nothing.
"""

import hashlib
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections import Counter
from functools import partial
from time import monotonic

import pytest
import redis.connection
from dynamic_helpers import idle_run as idle_run_program
from dynamic_helpers.loop_pes import stateful

from d4py_conformance.pes.common import Relay
from d4py_conformance.subprocesses.programs import Command
from d4py_conformance.suite import chain
from d4py_conformance.waiting import LIMIT
from d4py_dynamic.store.limits import LONGEST_TAKE_SECONDS
from d4py_dynamic.store.redis.keys import RunKeys
from d4py_dynamic.store.redis.run_store import RedisRunStore
from d4py_dynamic.store.redis.scripts import load_script
from d4py_dynamic.store.redis.task_store import RedisTaskStore
from d4py_dynamic.store.tasks import pins_of
from d4py_dynamic.worker.limits import CheckpointLimits, WorkerLimits
from d4py_dynamic.worker.loop import Worker
from dispel4py.engine.planning.plan import make_plan, replicate_stateless
from dispel4py.result import RunOptions

#: Items of a run, of which the first ones are not counted: workers do not know yet how long calls
#: take, and the server does not know the scripts.
ITEMS, FIRST = 12, 4
WORKERS = idle_run_program.WORKERS
#: What is sent after some time, however little is to do: to a server that is slow to answer, and on
#: a connection that replaces another one.
TIMED = b"\r\nPING\r\n", b"\r\nHELLO\r\n", b"\r\nCLIENT\r\n"
#: Which calls count as quick, so that a lone item stays in its worker.
NEVER, ALWAYS = 0.0, float("inf")
quick_or_not = pytest.mark.parametrize(
    "quick", [pytest.param(NEVER, id="slow"), pytest.param(ALWAYS, id="quick")]
)


class Alone:
    """Inputs of a run that come one by one, each when the one before is done and all workers wait.

    Args:
        idle: returns how many workers wait.
        calls: a list to which each call of the store is appended.
        wait_until: waits for a condition.

    Attributes:
        costs: number of calls of the store for each item.
    """

    def __init__(self, idle, calls, wait_until):
        self._idle, self._calls, self._wait_until = idle, calls, wait_until
        self.costs = []
        self.results = 0

    def inputs(self):
        for number in range(ITEMS):
            self._wait_until(lambda: self._idle() == WORKERS, "workers that wait")
            self._note(number)
            yield {"input": number}
            self._wait_until(lambda seen=number: self.results > seen, "the result")
        self._wait_until(lambda: self._idle() == WORKERS, "workers that wait")
        self._note(ITEMS)

    def take_result(self, *result):
        self.results += 1

    def _note(self, number):
        if number:
            self.costs.append(len(self._calls))
        self._calls.clear()


@pytest.fixture(params=["stateless", "stateful"])
def last(request):
    """Makes the last PE of three."""
    return Relay if request.param == "stateless" else lambda: stateful(Relay())


@pytest.fixture
def plan(last):
    return replicate_stateless(make_plan(chain(Relay(), Relay(), last())))


@pytest.fixture
def packets(monkeypatch):
    """What is sent to servers, as a list of packets; not heartbeats and checks, or by this test."""
    sent = []
    send = redis.connection.AbstractConnection.send_packed_command
    others = [sha.encode() for sha in timed_scripts()]

    def send_packed_command(self, command, *arguments, **options):
        packet = command if isinstance(command, bytes) else b"".join(command)
        is_own = threading.current_thread().name == "d4py-Relay0"
        is_timed = any(name in packet for name in TIMED) or any(sha in packet for sha in others)
        if not is_own and not is_timed:
            sent.append(packet)
        return send(self, command, *arguments, **options)

    monkeypatch.setattr(
        redis.connection.AbstractConnection, "send_packed_command", send_packed_command
    )
    return sent


def timed_scripts():
    """The hashes of the scripts that are called once a second, whatever the run does."""
    sources = (load_script("common") + load_script(name) for name in ("heartbeat", "audit"))
    return [hashlib.sha1(source.encode()).hexdigest() for source in sources]


def run_alone(run_in_threads, plan, driver, make_store, alone, quick):
    # Nothing depends on how long something takes, or on the test's own threads.
    limits = WorkerLimits(
        take_seconds=LIMIT,
        log_seconds=LIMIT,
        load_seconds=1e9,
        quick_seconds=quick,
        checkpoints=CheckpointLimits(work_per_cost=0.0, rest_per_cost=0.0),
    )

    def make_worker(rank):
        return Worker(plan, make_store(rank), rank, limits=limits)

    options = RunOptions(on_result=alone.take_result)
    (root,) = (pe.pe for pe in plan.roots)
    run_in_threads(plan, {root: alone.inputs()}, driver, make_worker, WORKERS, options)
    return alone.costs


def is_stateless(plan):
    return not plan.pes[-1].is_pinned


@quick_or_not
def test_a_lone_item_takes_at_most_eight_round_trips_to_a_server(
    server, plan, packets, run_in_threads, wait_until, quick
):
    keys, secret = RunKeys(secrets.token_hex(4), tuple(pins_of(plan))), secrets.token_bytes(32)
    driver = RedisRunStore(server.address, keys, secret, plan)
    driver.create("a test")
    make_store = partial(RedisTaskStore, server.address, keys, secret)
    with server.client() as client:
        alone = Alone(lambda: client.scard(keys.named("idle")), packets, wait_until)
        costs = run_alone(run_in_threads, plan, driver, make_store, alone, quick)
    driver.delete()
    assert len(costs) == ITEMS
    most, least = (8, 6) if quick == NEVER else (6, 4)
    assert max(costs[FIRST:]) <= most
    # The call, a commit and the next read of each worker, and the next read of the driver.
    assert min(costs) == (least if is_stateless(plan) else least + 2)


@quick_or_not
def test_a_lone_item_takes_at_most_four_calls_of_a_store_in_memory(
    local_store, run_in_threads, wait_until, quick
):
    plan = replicate_stateless(make_plan(chain(Relay(), Relay(), Relay())))
    local = local_store(plan)
    calls = []

    def make_store(rank):
        store = local.worker(rank)
        call = store._call

        def counted(method, *arguments):
            calls.append(method)
            return call(method, *arguments)

        store._call = counted
        return store

    alone = Alone(lambda: len(local.driver.load().idle), calls, wait_until)
    costs = run_alone(run_in_threads, plan, local.driver, make_store, alone, quick)
    assert len(costs) == ITEMS
    assert costs[FIRST:] == [4 if quick == NEVER else 2] * (ITEMS - FIRST)


@pytest.fixture
def idle_run(server, tmp_path):
    """Starts the program `idle_run`."""
    commands = []

    def start(kind):
        commands.append(
            Command(
                [sys.executable, idle_run_program.__file__, server.url, str(tmp_path), kind],
                os.environ,
                stdout=subprocess.PIPE,
            )
        )
        return commands[-1]

    yield start
    for command in commands:
        command.send_to_all(signal.SIGKILL)
        command.communicate()


#: Commands in which clients wait while nothing is fed, or while the only root is busy.
EMPTY = {"xreadgroup": WORKERS, "xread": 1}
BUSY = {"xreadgroup": WORKERS - 1, "xread": 1, "blpop": 1}
#: All that is sent when a wait begins.
WAITS = {"SADD", "XREADGROUP", "EVALSHA", "XREAD", "BLPOP", "XLEN"}


@pytest.mark.parametrize(
    ("kind", "waiting", "results"), [("empty", EMPTY, 1), ("busy", BUSY, 20_000)]
)
def test_a_run_without_work_sends_heartbeats_and_checks_alone(
    server, tmp_path, wait_until, idle_run, kind, waiting, results
):
    """That is, while nothing is fed to the root, and while its queue is full."""
    command = idle_run(kind)
    heartbeat, audit = timed_scripts()
    others, beats, began_at = Counter(), Counter(), monotonic()
    with server.client() as client:
        wait_until(lambda: is_done(client, kind) and is_at_rest(client, waiting), "rest", 90)
        with client.monitor() as monitor:
            while len(beats) <= WORKERS or min(beats.values()) < 4:  # for three seconds
                seen = monitor.next_command()
                name, *words = seen["command"].split(" ")
                if seen["client_type"] == "lua":
                    continue
                if heartbeat in words:
                    beats[words[3]] += 1
                elif audit not in words and len(beats) > WORKERS:  # all connections are made
                    others[seen["command"]] += 1
                    assert name in WAITS
    (tmp_path / "open").touch()
    out, _ = command.communicate(timeout=LIMIT)
    assert out == f"{results}\n"
    # A wait that is over after ten seconds is begun again.
    most = 1 + (monotonic() - began_at) // LONGEST_TAKE_SECONDS
    assert all(count <= most for count in others.values())


def is_done(client, kind):
    """Return whether what was fed has led to a result, unless the root is busy."""
    names = client.keys("d4py:*:unfinished")
    return kind == "busy" or any(client.hget(name, "results") == b"1" for name in names)


def is_at_rest(client, waiting):
    """Return whether so many clients wait in each of these commands."""
    found = Counter(other["cmd"] for other in client.client_list())
    return all(found[command] == count for command, count in waiting.items())
