"""A real server for tests that want one, and a store in memory for those that do not."""

import itertools
import os
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter, deque
from pathlib import Path
from typing import NamedTuple

import pytest
import redis

from d4py_dynamic.redis_keys import CODEC, RunKeys
from d4py_dynamic.redis_run import RedisRunStore
from d4py_dynamic.redis_server import Address, server_binary
from d4py_dynamic.redis_store import RedisTaskStore
from d4py_dynamic.store import Drained, LogLine, Results
from d4py_dynamic.tasks import ANY, ITEMS, STOP, Lease, Pressure
from dispel4py.errors import ServiceError
from dispel4py.result import InstanceStats

#: Seconds after which something that should happen soon has not.
LIMIT = 20.0


def wait_until(true, what):
    """Wait for a condition; fail after a while."""
    until = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < until, f"{what} did not happen in {LIMIT} s"
        time.sleep(0.005)


@pytest.fixture(name="wait_until", scope="session")
def _wait_until():
    return wait_until


class Server:
    """A Valkey server of the test's own, on a Unix socket in a folder of its own."""

    def __init__(self, *options):
        self.folder = Path(tempfile.mkdtemp(prefix="d4py-test-"))
        self.url = f"unix://{self.folder}/redis.sock"
        command = [server_binary(), "--port", "0", "--unixsocket", f"{self.folder}/redis.sock"]
        command += ["--dir", str(self.folder), "--save", "", "--appendonly", "no", *options]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        wait_until(self._answers, "the server's start")

    @property
    def address(self):
        return Address(self.url)

    def client(self):
        return redis.from_url(self.url, socket_timeout=LIMIT)

    def stop(self):
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self):
        assert self._process.poll() is None, "the server ended"
        try:
            with self.client() as client:
                return client.ping()
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False


@pytest.fixture(scope="session")
def need_server():
    """Skips where there is no server program; fails where CI says that there must be one."""
    try:
        return server_binary()
    except ServiceError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def start_server(need_server):
    """Starts servers: ``start_server(*options)``; they are stopped at the end of the session."""
    servers = []

    def start(*options):
        servers.append(Server(*options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def _shared_server(start_server):
    return start_server()


@pytest.fixture
def server(_shared_server):
    """A server that is empty before the test, and has to be so after it."""
    with _shared_server.client() as client:
        client.flushall()
        yield _shared_server
        assert client.keys("*") == []


class Opened(NamedTuple):
    """A store: the driver's side, and one side per worker."""

    driver: object
    workers: list
    keys: object = None


@pytest.fixture
def open_redis_store():
    """Makes the store of a run on a server; it is deleted after the test."""
    stores = []

    def open_store(server, plan, owners):
        pins = tuple(itertools.chain(*owners))
        keys = RunKeys(f"d4py:{secrets.token_hex(4)}", pins, len(owners))
        secret = secrets.token_bytes(32)
        driver = RedisRunStore(server.address, keys, secret, plan)
        driver.create()
        workers = [
            RedisTaskStore(server.address, keys, secret, rank, own)
            for rank, own in enumerate(owners)
        ]
        stores.append(Opened(driver, workers, keys))
        return stores[-1]

    yield open_store
    for store in stores:
        for worker in store.workers:
            worker.close()
        store.driver.delete()


class MemoryStore:
    """A store for threads of one process: what `TaskStore` and `RunStore` say, and no more.

    Args:
        plan: the plan.
        owners: per worker, the pinned instances that it owns.
        most_waiting: tasks of an instance beyond which it is full.
        most_results: the same for results.
    """

    def __init__(self, plan, owners, most_waiting=32, most_results=64):
        self.plan, self.owners = plan, owners
        self.most_waiting, self.most_results = most_waiting, most_results
        self.changed = threading.Condition()
        self.broken = None
        self.tasks = {"shared": deque()}
        self.tasks |= {("inbox", rank): deque() for rank in range(len(owners))}
        self.tasks |= {pin: deque() for pins in owners for pin in pins}
        self.leases = {}
        self.lengths = Counter()
        self.counts = Counter({pe.index: 0 for pe in plan.pes})
        self.out = deque()
        self.results_made = self.results_seen = 0
        self.watched, self.hungry, self.replica_set = set(), set(), set()
        self.calls, self.seconds = Counter(), Counter()
        self.commits = []

    def open(self):
        return Opened(MemoryDriver(self), [MemoryWorker(self, r) for r in range(len(self.owners))])

    def add(self, place, task):
        self.tasks[place].append(CODEC.dumps(task))
        self.lengths[place] += 1
        if task.kind != STOP:
            self.counts[task.pe] += 1

    def length(self, place):
        return self.lengths[place]


class MemoryWorker:
    """The worker's side."""

    def __init__(self, store, rank):
        self.store, self.rank = store, rank
        self.places = [*store.owners[rank], ("inbox", rank), "shared"]

    def take(self, only=None):
        store = self.store
        with store.changed:
            taken = self._take_from(self.places if only is None else only)
            if not taken and only is None:
                store.hungry.add(self.rank)
                store.changed.wait_for(lambda: self._any() or store.broken, 0.05)
                store.hungry.discard(self.rank)
                taken = self._take_from(self.places)
            self._check()
            return taken

    def commit(self, commit):
        store = self.store
        packed = [CODEC.dumps(task) for task in commit.tasks]  # may fail, and nothing is done then
        results = CODEC.dumps(Results(commit.results, commit.failures))
        with store.changed:
            self._check()
            for lease in commit.leases:
                if store.leases.get(lease.token, (None,))[0] != self.rank:
                    raise ServiceError("a lease was lost")
            store.commits.append((self.rank, commit))
            for task, data in zip(commit.tasks, packed, strict=True):
                place = "shared" if task.instance == ANY else (task.pe, task.instance)
                store.tasks[place].append(data)
                store.lengths[place] += 1
                store.counts[task.pe] += 1
            if commit.results or commit.failures:
                store.out.append(results)
                store.results_made += 1
            for pe, calls, seconds in commit.counters:
                store.calls[pe, self.rank] += calls
                store.seconds[pe, self.rank] += seconds
            store.replica_set.update((pe, self.rank) for pe in commit.replicas)
            for lease in commit.leases:
                _, place = store.leases.pop(lease.token)
                store.lengths[place] -= 1
                store.counts[lease.task.pe] -= 1
                if not store.counts[lease.task.pe] and lease.task.pe in store.watched:
                    store.out.append(CODEC.dumps(Drained(lease.task.pe)))
            store.changed.notify_all()
            pins = {(task.pe, task.instance) for task in commit.tasks if task.kind == ITEMS}
            return self._pressure(pins, store.most_waiting, store.most_results)

    def pressure(self, watched=()):
        store = self.store
        with store.changed:
            self._check()
            return self._pressure(watched, store.most_waiting // 2, store.most_results // 2)

    def log(self, pe_id, rank, message):
        with self.store.changed:
            self.store.out.append(CODEC.dumps(LogLine(pe_id, rank, message)))
            self.store.changed.notify_all()

    def close(self):
        pass

    def _take_from(self, places):
        taken = []
        for place in places:
            if self.store.tasks[place]:
                task = CODEC.loads(self.store.tasks[place].popleft())
                lease = Lease(task, object())
                self.store.leases[lease.token] = (self.rank, place)
                taken.append(lease)
        return taken

    def _any(self):
        return any(self.store.tasks[place] for place in self.places)

    def _pressure(self, pins, most_waiting, most_results):
        full = [p for p in pins if p[1] != ANY and self.store.length(p) > most_waiting]
        return Pressure(len(self.store.hungry), tuple(full), len(self.store.out) > most_results)

    def _check(self):
        if self.store.broken is not None:
            raise self.store.broken


class MemoryDriver:
    """The driver's side."""

    def __init__(self, store):
        self.store = store

    def put(self, tasks, rank=None):
        with self.store.changed:
            for task in tasks:
                shared = "shared" if task.instance == ANY else (task.pe, task.instance)
                self.store.add(shared if rank is None else ("inbox", rank), task)
            self.store.changed.notify_all()

    def waiting(self, pe, instance):
        with self.store.changed:
            return self.store.length((pe, instance))

    def events(self, seconds):
        store = self.store
        with store.changed:
            store.changed.wait_for(lambda: store.out, seconds)
            events = [CODEC.loads(data) for data in store.out]
            store.out.clear()
            store.results_seen += sum(isinstance(event, Results) for event in events)
            return events

    def unfinished(self, watched):
        with self.store.changed:
            self.store.watched.update(watched)
            return dict(self.store.counts)

    def missing_results(self):
        with self.store.changed:
            return self.store.results_made - self.store.results_seen

    def replicas(self, pe):
        with self.store.changed:
            return sorted(rank for number, rank in self.store.replica_set if number == pe)

    def stats(self):
        with self.store.changed:
            return [
                InstanceStats(self.store.plan.pes[pe].id, rank, count, self.store.seconds[pe, rank])
                for (pe, rank), count in sorted(self.store.calls.items())
            ]

    def delete(self):
        with self.store.changed:
            self.store.broken = ServiceError("the store was deleted")
            self.store.changed.notify_all()


@pytest.fixture
def memory_store():
    """Makes a `MemoryStore`."""
    return MemoryStore
