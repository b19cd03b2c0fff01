"""C5, H2: the commit protocol of the real stores, with random sequences of events.

Workers are simulated, one call of their store at a time: they take tasks, send in the middle of a
call, save, crash before or after a commit, and are evicted while they run and continue later.
After any sequence, each item counts once in each result, and the run ends.

    root (pinned) → shared → kept (two pinned instances that keep what they got)
"""

import secrets
from functools import partial

import pytest
from dynamic_helpers.simulated_workers import KEPT, ROOT, make_graph
from dynamic_helpers.store_protocol import RECEIVED, REPEATED, Protocol
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from d4py_dynamic.store.memory.run_store import InMemoryRunStore
from d4py_dynamic.store.memory.store import InMemoryStore
from d4py_dynamic.store.memory.task_store import InMemoryTaskStore
from d4py_dynamic.store.redis import scripts as redis_scripts
from d4py_dynamic.store.redis.keys import RunKeys
from d4py_dynamic.store.redis.run_store import RedisRunStore
from d4py_dynamic.store.redis.task_store import RedisTaskStore
from d4py_dynamic.store.tasks import pins_of
from dispel4py.engine.planning.plan import make_plan
from dispel4py.errors import ServiceError

thorough = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes
    suppress_health_check=[*HealthCheck],
)


@pytest.fixture
def check_in_memory():
    """Plays random sequences in memory."""
    plan = make_plan(make_graph())

    def make():
        store = InMemoryStore(len(plan.pes))

        def make_worker(rank):
            return InMemoryTaskStore(lambda name, *rest: getattr(store, name)(rank, *rest))

        return Protocol(InMemoryRunStore(store, plan), make_worker)

    return lambda how: run_state_machine_as_test(make, settings=how)


@pytest.fixture
def on_redis(server):
    """Makes a `Protocol` on a server."""
    plan = make_plan(make_graph())

    def make():
        keys, secret = RunKeys(secrets.token_hex(4), tuple(pins_of(plan))), secrets.token_bytes(32)
        driver = RedisRunStore(server.address, keys, secret, plan)
        driver.create("a test")
        return Protocol(driver, partial(RedisTaskStore, server.address, keys, secret), repeat)

    def repeat(store, commit):
        store._scripts._number -= 1  # as `RetryUntilDeadline` does, below the store
        store.commit(commit)

    return make


@pytest.fixture
def check_redis(on_redis):
    """Plays random sequences on a server."""
    return lambda how: run_state_machine_as_test(on_redis, settings=how)


@pytest.fixture
def play_on_redis(on_redis):
    """Plays one sequence of events on a server, to its end."""

    def play_it():
        protocol = on_redis()
        try:
            play(protocol)
        finally:
            protocol.teardown()

    return play_it


def test_h2_nothing_is_lost_or_counted_twice_in_memory(check_in_memory):
    check_in_memory(thorough)


@pytest.mark.slow
def test_h2_nothing_is_lost_or_counted_twice_on_redis(check_redis):
    check_redis(thorough)


def play(protocol):
    """Play one sequence of events in which each step of each script matters."""
    root, kept = (ROOT, 0), (KEPT, 0)

    def number(worker):
        return protocol.workers.index(worker)

    def follow(lost, *, dead):
        """Replace a worker; return the new one."""
        protocol.replace([*protocol.members].index(lost.rank), dead)
        return protocol.workers[-1]

    protocol.begin(4)
    first, second = protocol.workers
    protocol.take(number(first))
    protocol.work(number(first), root, 2)
    protocol.send_in_pinned_call(number(first), root, RECEIVED)
    successor = follow(first, dead=False)
    protocol.continue_evicted(root, True)  # the first one would adopt it again
    protocol.work(number(successor), root, 3)
    protocol.save(number(successor), root, REPEATED)
    protocol.put_shared(3)
    for worker in (successor, second):
        for _ in range(8):
            protocol.take(number(worker))
    for worker in (successor, second):
        if worker.shared:
            protocol.send_in_shared_call(number(worker), len(worker.shared) - 1, 1, RECEIVED)
            while len(worker.shared) > 1:
                protocol.finish_shared(number(worker), 0, RECEIVED)
    protocol.take(number(second))
    protocol.work(number(second), kept, 2)
    protocol.save(number(second), kept, RECEIVED)
    last = follow(second, dead=False)
    protocol.save(number(second), kept, RECEIVED)  # refused
    protocol.work(number(last), kept, 1)
    protocol.save(number(last), kept, RECEIVED)
    follow(successor, dead=True)
    protocol.check_counts()


#: What each script must not lack: the script, a part of it, and what replaces the part.
BREAKS = {
    "commits of a worker that was evicted": (
        "commit",
        "if not is_member(rank) then",
        "if false then",
    ),
    "commits that were processed already": ("commit", "if earlier then return earlier end", ""),
    "adoption by a worker that was evicted": (
        "adopt",
        "if not is_member(rank) then",
        "if false then",
    ),
    "results that are not stored": ("commit", "\nadd_results()\n", "\n"),
    "followers that are not stored": ("commit", "\nadd_followers()\n", "\n"),
    "a state without the end of its leases": ("commit", "\nend_leases()\n", "\n"),
    "a state that is not stored": ("commit", "\nrecord_states()\n", "\n"),
    "a position that is not stored": (
        "commit",
        "call('HSET', key('positions')",
        "do end --",
    ),
    "a position in a shared call that is not stored": (
        "commit",
        "call('HSET', key('lease_positions')",
        "do end --",
    ),
    "leases that stay with a worker that was evicted": (
        "evict_worker",
        "call('XADD', shared",
        "do end --",
    ),
    "positions that are lost with a worker": (
        "evict_worker",
        "'n', count, 'r', position",
        "'n', count",
    ),
    "leases that are not adopted": ("adopt", "leases[#leases + 1] = found", ""),
}


def test_h2_a_sequence_of_events_on_redis(play_on_redis):
    play_on_redis()


@pytest.mark.parametrize("what", BREAKS)
def test_h2_a_script_that_lacks_a_step_is_detected(play_on_redis, monkeypatch, what):
    name, part, instead = BREAKS[what]
    load = redis_scripts.load_script

    def load_broken(which):
        source = load(which)
        if which != name:
            return source
        assert source.count(part) == 1
        return source.replace(part, instead)

    monkeypatch.setattr(redis_scripts, "load_script", load_broken)
    with pytest.raises((AssertionError, pytest.fail.Exception, ServiceError)):
        play_on_redis()
