"""Fixtures and steps of tests of the rules of `TaskStore` and `RunStore`, for every store."""

import time

import pytest

from d4py_conformance.waiting import LIMIT, NEVER
from d4py_dynamic.store.redis.connections import address
from d4py_dynamic.store.tasks import (
    ANY,
    ITEMS,
    Commit,
    Task,
)
from dispel4py import IterativePE, ProducerPE, WorkflowGraph
from dispel4py.engine.planning.plan import make_plan

ROOT, SHARED, PINNED = range(3)

PIN, OTHER_PIN = (PINNED, 0), (PINNED, 1)
#: Instances of the second worker.
OWNED = [PIN, OTHER_PIN]

#: Seconds to wait for what will not come.
SOON = 0.05


def make_graph():
    """A root, a stateless PE, and two instances of a stateful one."""
    graph = WorkflowGraph()
    shared, pinned = IterativePE(), IterativePE()
    pinned.stateful, pinned.numprocesses = True, 2
    graph.connect(ProducerPE(), "output", shared, "input")
    graph.connect(shared, "output", pinned, "input")
    return graph


def items(*values, pe=SHARED, instance=ANY):
    return Task(ITEMS, pe, instance, "input", list(values))


def payloads(leases):
    return [lease.task.payload for lease in leases]


def take(worker, *, within=LIMIT):
    """Take at least one lease."""
    until = time.monotonic() + within
    while True:
        leases = worker.take()
        if leases:
            return leases
        assert time.monotonic() < until, "no task came"


def events(driver, *, count=1, within=LIMIT):
    """Return at least so many events."""
    found = []
    until = time.monotonic() + within
    while len(found) < count:
        found += driver.events(0.05)
        assert time.monotonic() < until, f"only {found} came"
    return found


def settle(driver, workers):
    """Have each worker take something, so that none is idle."""
    for worker in workers:
        driver.put([items(0)])
        worker.commit(Commit(leases=take(worker)))


def evict(driver, rank):
    """Evict a worker, with the instances that it owns at first."""
    return driver.evict(rank, OWNED if rank == 1 else [])


def sizes(driver):
    """Backlog, and how many workers are idle and paused."""
    load = driver.load()
    return load.backlog, len(load.idle), len(load.paused)


def _in_redis(fixture, plan, owners):
    # After each such wait a feeder looks at its queue, woken or not.
    fixture("monkeypatch").setattr(address, "_BLOCK_SECONDS", NEVER)
    server = fixture("server")  # first, since it has to be empty after the store was deleted
    return fixture("open_redis_store")(server, plan, owners)


#: Stores: in Redis, that of `dyn_multi` in one process, and the same as worker processes reach it.
STORES = {
    "redis": _in_redis,
    "in_memory": lambda fixture, plan, owners: fixture("local_store")(plan).open(owners),
    "over_connections": lambda fixture, *run: fixture("open_rpc_store")(*run),
}


class StoreContract:
    """The fixtures of tests of what every store does."""

    @pytest.fixture
    def plan(self):
        return make_plan(make_graph())

    @pytest.fixture(params=STORES)
    def opened(self, request, plan, owners):
        """The store of a run with three workers; see `owners`."""
        return STORES[request.param](request.getfixturevalue, plan, owners)

    @pytest.fixture
    def owners(self):
        return [[(ROOT, 0)], OWNED, []]

    @pytest.fixture
    def driver(self, opened):
        return opened.driver

    @pytest.fixture
    def workers(self, opened):
        return opened.workers
