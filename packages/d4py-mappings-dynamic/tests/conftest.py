"""Fixtures: a Redis server, stores of all kinds, and runs whose workers are threads."""

import os
import secrets
import threading
import time
from multiprocessing.connection import Connection
from typing import NamedTuple

import pytest
from dynamic_helpers.redis_runs import OWNERS, plan_of_three
from dynamic_helpers.servers import emptied, server_program, started_servers

from d4py_conformance.waiting import NEVER, wait_until, wait_until_none
from d4py_dynamic.driver.driver import Driver
from d4py_dynamic.driver.limits import DriverLimits
from d4py_dynamic.driver.supervisor import WorkerSupervisor
from d4py_dynamic.store.limits import StoreLimits
from d4py_dynamic.store.memory.rpc import StoreClient, StoreServer
from d4py_dynamic.store.memory.run_store import InMemoryRunStore
from d4py_dynamic.store.memory.store import InMemoryStore
from d4py_dynamic.store.memory.task_store import InMemoryTaskStore
from d4py_dynamic.store.redis.keys import RunKeys
from d4py_dynamic.store.redis.run_store import RedisRunStore
from d4py_dynamic.store.redis.task_store import RedisTaskStore
from d4py_dynamic.store.tasks import pins_of
from d4py_dynamic.worker.limits import WorkerLimits
from d4py_dynamic.worker.loop import Worker
from dispel4py import run
from dispel4py.engine.inputs import root_inputs
from dispel4py.engine.planning.plan import make_plan, replicate_stateless
from dispel4py.errors import WorkerLostError
from dispel4py.result import RunOptions, RunStats


@pytest.fixture(name="wait_until", scope="session")
def _wait_until():
    return wait_until


@pytest.fixture(scope="session")
def need_server():
    """Skips where there is no server program; fails where CI says that there must be one."""
    return server_program()


@pytest.fixture(scope="session")
def start_server(need_server):
    """Starts servers: ``start_server(*options)``; they are stopped at the end of the session."""
    with started_servers() as start:
        yield start


@pytest.fixture(scope="session")
def _shared_server(start_server):
    return start_server()


@pytest.fixture
def server(_shared_server):
    """A server that is empty before the test, and must be empty after it."""
    with emptied(_shared_server):
        yield _shared_server


class Opened(NamedTuple):
    """A store: the driver's side, a factory of workers' sides, and those of some workers."""

    driver: object
    worker: object
    workers: list
    join: object
    keys: object = None


def opened(driver, make_worker, owners, keys=None):
    """Return a store with a worker for each entry of `owners`, which owns these instances."""

    def join():
        rank = driver.join()
        worker = make_worker(rank)
        workers.append(worker)
        return worker

    workers = []
    for own in owners:
        worker = join()
        for pin in own:
            worker.adopt(pin)
    return Opened(driver, make_worker, workers, join, keys)


@pytest.fixture
def open_redis_store():
    """Makes the store of a run on a server; it is deleted after the test."""
    stores = []

    def open_store(server, plan, owners, limits=StoreLimits()):
        keys = RunKeys(secrets.token_hex(4), tuple(pins_of(plan)))
        secret = secrets.token_bytes(32)
        driver = RedisRunStore(server.address, keys, secret, plan)
        driver.create("a test")

        def make_worker(rank):
            workers.append(RedisTaskStore(server.address, keys, secret, rank, limits=limits))
            return workers[-1]

        stores.append(opened(driver, make_worker, owners, keys))
        return stores[-1]

    workers = []
    yield open_store
    for store in stores:
        for worker in (*workers, *store.workers):  # those of workers that crash, too
            worker.close()
        store.driver.delete()


class Noting(InMemoryTaskStore):
    """A worker's side of a table; keeps the commits that became true, and counts looks."""

    def __init__(self, local, rank):
        table = local.table
        super().__init__(lambda method, *arguments: getattr(table, method)(rank, *arguments))
        self._local, self._rank = local, rank

    def commit(self, commit):
        status = super().commit(commit)
        self._local.commits.append((self._rank, commit))
        return status

    def status(self, watched=()):
        self._local.looks += 1
        return super().status(watched)


class Local:
    """A table for the workers of this process.

    Attributes:
        table: the table.
        driver: the driver's side of it.
        commits: (rank, commit), as they came.
        looks: how often workers asked for its status.
    """

    def __init__(self, plan, limits=StoreLimits()):
        self.plan = plan
        self.table = InMemoryStore(len(plan.pes), limits)
        self.driver = InMemoryRunStore(self.table, plan)
        self.commits, self.looks = [], 0

    def worker(self, rank):
        return Noting(self, rank)

    def open(self, owners):
        return opened(self.driver, self.worker, owners)

    def calls(self, pe):
        """Return how often a PE was called, as far as committed."""
        return sum(calls for number, _, calls, _ in self.table.counters() if number == pe)


@pytest.fixture(name="plan")
def _plan():
    return plan_of_three()


@pytest.fixture(name="opened")
def _opened(plan, server, open_redis_store):
    return open_redis_store(server, plan, OWNERS)


@pytest.fixture(name="client")
def _client(server):
    with server.client() as client:
        yield client


@pytest.fixture
def local_store():
    """Makes a `Local`, which is closed after the test."""
    stores = []

    def make(plan, *limits):
        stores.append(Local(plan, *limits))
        return stores[-1]

    yield make
    for store in stores:
        store.table.close("the test is over")


@pytest.fixture
def open_rpc_store():
    """Makes a table whose workers reach it by connections, as those of other processes do."""
    tables, brokers, lines = [], [], []

    def open_store(plan, owners):
        tables.append(InMemoryStore(len(plan.pes)))
        broker = StoreServer(tables[-1])
        brokers.append(broker)

        def worker(rank):
            # The server closes its copy of the worker's end, since a process has its own.
            lines.append(Connection(os.dup(broker.connect(rank).fileno())))
            broker.serve()
            return InMemoryTaskStore(StoreClient(lines[-1]))

        return opened(InMemoryRunStore(tables[-1], plan), worker, owners)

    before = {*threading.enumerate()}
    yield open_store
    for table in tables:
        table.close("the test is over")
    for line in lines:
        line.close()
    for broker in brokers:
        broker.close()
    wait_until_none(lambda: {*threading.enumerate()} - before, "the end of all threads")


class Threads:
    """Workers as threads, as the driver's supervisor sees processes.

    Args:
        make_worker: makes the worker of a number in the store.
        ranks: those that there are at first.

    Attributes:
        errors: what ended workers.
        lost: numbers of workers that ended without an error, and were not reported yet.
    """

    def __init__(self, make_worker, ranks):
        self._make_worker = make_worker
        self.errors, self.lost, self._threads = [], [], []
        for rank in ranks:
            self.add((rank,))

    def add(self, arguments):
        (rank,) = arguments
        number = len(self._threads)
        thread = threading.Thread(target=self._serve, args=(number, rank), daemon=True)
        self._threads.append(thread)
        thread.start()

    def check(self):
        lost = [self.lost.pop(0) for _ in range(len(self.lost))]
        return [
            *self.errors,
            *(WorkerLostError(number, 0, "killed by SIGKILL") for number in lost),
        ]

    def join(self, seconds):
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def is_running(self, number):
        return True

    def finishing(self, number):
        return []

    def wait_until_ended(self, look, name):
        while not self.join(0.01):
            look()
        look()

    def _serve(self, number, rank):
        try:
            self._make_worker(rank).serve()
        except Crash:
            self.lost.append(number)
        except Exception as error:
            self.errors.append(error)


class Crash(BaseException):
    """Ends a worker as if it were killed."""


@pytest.fixture(name="Crash", scope="session")
def _crash():
    return Crash


#: Redeliveries where workers are lost at random.
MANY_REDELIVERIES = 1000


def run_in_threads(plan, inputs, driver, make_worker, owned, options, limits=DriverLimits()):
    """Run a plan with the real driver, and return the result.

    Args:
        plan: the plan.
        inputs: of the run.
        driver: the driver's side of its store.
        make_worker: makes the worker of a number in the store.
        owned: a number of workers, or which PEs each of them owns.
        options: the run's options.
        limits: of the driver.
    """
    count = owned if isinstance(owned, int) else len(owned)
    ranks = [driver.join() for _ in range(count)]
    threads = Threads(make_worker, ranks)
    owners = None
    if owned is not count:
        pins = pins_of(plan)
        owners = {
            rank: [pin for pin in pins if plan.pes[pin[0]].pe in own]
            for rank, own in zip(ranks, owned, strict=True)
        }
    given = root_inputs(plan, inputs)
    supervisor = WorkerSupervisor(
        *(plan, driver, threads, ranks, lambda rank: (rank,), lambda: None, owners),
        redeliveries=MANY_REDELIVERIES,
    )
    stats = RunStats("threads", count)
    return Driver(
        *(plan, given, driver, lambda: driver, supervisor, options, stats), limits=limits
    ).run()


@pytest.fixture(name="run_in_threads", scope="session")
def _run_in_threads():
    return run_in_threads


@pytest.fixture
def threads():
    """Makes `Threads`."""
    return Threads


@pytest.fixture
def execute(local_store):
    """Runs a graph in this process: ``execute(graph, inputs, processes, …)``.

    `owned` says which PEs each worker owns; there are as many workers then.  `limits` are those of
    the workers.
    """

    def execute(
        graph,
        inputs=1,
        processes=2,
        most_waiting=StoreLimits().queue_length,
        most_results=StoreLimits().result_batches,
        owned=None,
        limits=WorkerLimits(),
        **options,
    ):
        plan = replicate_stateless(make_plan(graph))
        store = local_store(plan, StoreLimits(most_waiting, most_results))
        execute.stores.append(store)
        chosen = RunOptions(**options)

        def make_worker(rank):
            return Worker(plan, store.worker(rank), rank, chosen.on_error, limits=limits)

        return run_in_threads(plan, inputs, store.driver, make_worker, owned or processes, chosen)

    execute.stores = []
    return execute


@pytest.fixture(params=["dyn_multi", "dyn_auto_multi", "dyn_redis", "dyn_auto_redis"])
def in_processes(request):
    """Runs a graph in processes, on each mapping."""
    where = {}
    if "redis" in request.param:
        where = {"redis_url": request.getfixturevalue("server").url, "lease": NEVER}

    def in_processes(graph, inputs, processes, **options):
        return run(graph, request.param, inputs, processes, **where, **options)

    return in_processes
