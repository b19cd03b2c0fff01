"""What one call of a store costs the process that serves it, in CPU time.

Of the Redis server, that is what it reports itself; of the in-memory store, that of this process,
which answers a worker process over a connection.  Wall time would have the machine's load in it.
"""

import multiprocessing
import secrets
import time

from d4py_dynamic.store.memory.rpc import StoreClient, StoreServer
from d4py_dynamic.store.memory.run_store import InMemoryRunStore
from d4py_dynamic.store.memory.store import InMemoryStore
from d4py_dynamic.store.memory.task_store import InMemoryTaskStore
from d4py_dynamic.store.redis.keys import RunKeys
from d4py_dynamic.store.redis.run_store import RedisRunStore
from d4py_dynamic.store.redis.task_store import RedisTaskStore
from d4py_dynamic.store.tasks import ANY, ITEMS, Commit, Task
from dispel4py.engine.planning.plan import make_plan
from dynamic_helpers.scale_model import chain

#: Items of a task.
ITEMS_PER_TASK = 10
#: Workers that are members, so that sets of them are as large as in a run.
MEMBERS = 100
#: What a worker does, in this order: each so often that the next one has its leases.
PHASES = ("take", "commit of followers", "take again", "commit of results", "status")

_FORK = multiprocessing.get_context("fork")


class Caller:
    """A worker that makes calls of one kind after the other.

    Args:
        store: its side of the store.
    """

    def __init__(self, store):
        self._store = store
        self._leases = []

    def make(self, phase, count):
        """Make so many calls."""
        for _ in range(count):
            if phase.startswith("take"):
                self._leases += self._store.take(seconds=0.0)
            elif phase == "status":
                self._store.status()
            else:
                self._store.commit(self._commit(phase))

    def _commit(self, phase):
        commit = Commit(leases=[self._leases.pop()], counters=[(1, ITEMS_PER_TASK, 0.01)])
        if phase == "commit of followers":
            commit.tasks = [make_task()]
        else:
            commit.results = [("Stage1", "output", [*range(ITEMS_PER_TASK)])]
        return commit


def make_task():
    return Task(ITEMS, 1, ANY, "input", [*range(ITEMS_PER_TASK)])


def redis_costs(server, count):
    """Return the server's seconds per call, and the driver's for an event.

    The server's for a PING, too: ratios to it hold for other machines.

    Args:
        server: a server; see the fixture of that name.
        count: calls of each kind.
    """
    plan = make_plan(chain(1, 0.0))
    keys, secret = RunKeys(secrets.token_hex(4), ()), secrets.token_bytes(32)
    driver = RedisRunStore(server.address, keys, secret, plan)
    driver.create("a benchmark")
    ranks = [driver.join() for _ in range(MEMBERS)]
    worker = RedisTaskStore(server.address, keys, secret, ranks[0])
    try:
        with server.client() as client:

            def used():
                usage = client.info("cpu")
                return usage["used_cpu_user"] + usage["used_cpu_sys"]

            costs = _costs(driver, Caller(worker).make, count, used)
            before = used()
            for _ in range(count):
                client.ping()
            return {**costs, "ping": (used() - before) / count}
    finally:
        worker.close()
        driver.delete()


def memory_costs(count):
    """Return the driver's seconds per call, and for an event."""
    plan = make_plan(chain(1, 0.0))
    table = InMemoryStore(len(plan.pes))
    driver, server = InMemoryRunStore(table, plan), StoreServer(table)
    ranks = [driver.join() for _ in range(MEMBERS)]
    connection = server.connect(ranks[0])
    ours, theirs = _FORK.Pipe()

    def work():
        caller = Caller(InMemoryTaskStore(StoreClient(connection)))
        while (wanted := theirs.recv()) is not None:
            caller.make(*wanted)
            theirs.send(None)

    process = _FORK.Process(target=work, daemon=True)
    process.start()
    server.serve()

    def make(*wanted):
        ours.send(wanted)
        ours.recv()

    try:
        return _costs(driver, make, count, time.process_time)
    finally:
        ours.send(None)
        process.join()
        driver.delete()


def _costs(driver, make, count, used):
    """Return seconds per call of each phase, and of events.

    Args:
        driver: the driver's side of the store.
        make: makes calls of a worker: phase, count.
        count: how many.
        used: returns the CPU time that the serving process has used so far.
    """
    costs = {}
    driver.put(make_task() for _ in range(count))
    for phase in PHASES:
        before = used()
        make(phase, count)
        costs[phase] = (used() - before) / count
    before, own_before, events = used(), time.process_time(), 0
    while found := driver.events(0.0):
        events += len(found)
    assert events == count
    costs["event"] = (time.process_time() - own_before) / count
    costs["driver.events"] = (used() - before) / count
    before = used()
    for _ in range(count):
        driver.load()
    costs["driver.load"] = (used() - before) / count
    return costs
