"""Calls of worker processes to the store of the driver."""

import os
import threading
from multiprocessing.connection import Connection

import pytest

from d4py_conformance.waiting import LIMIT, wait_until_none
from d4py_dynamic.store.memory.rpc import StoreClient, StoreServer
from d4py_dynamic.store.memory.run_store import InMemoryRunStore
from d4py_dynamic.store.memory.store import InMemoryStore
from d4py_dynamic.store.memory.task_store import InMemoryTaskStore
from d4py_dynamic.store.protocols import LogLine
from d4py_dynamic.store.tasks import ANY, ITEMS, Commit, Task
from dispel4py import IterativePE, WorkflowGraph
from dispel4py.engine.planning.plan import make_plan
from dispel4py.errors import ServiceError


class Server:
    """A store with its server, and connections as worker processes have them."""

    def __init__(self):
        graph = WorkflowGraph()
        graph.add(IterativePE())
        self.store = InMemoryStore(1)
        self.driver = InMemoryRunStore(self.store, make_plan(graph))
        self.rpc = StoreServer(self.store)
        self.connections = []

    def connect(self):
        rank = self.driver.join()
        self.connections.append(Connection(os.dup(self.rpc.connect(rank).fileno())))
        self.rpc.serve()
        return self.connections[-1]

    def close(self):
        self.store.close()
        self.rpc.close()
        for connection in self.connections:
            connection.close()


def answering_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("d4py-answer")]


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()
    wait_until_none(answering_threads, "the end of all threads")


def test_c5_a_closed_connection_ends_only_its_thread(server, wait_until):
    first, second = server.connect(), server.connect()
    InMemoryTaskStore(StoreClient(first)).status()
    first.close()
    wait_until(lambda: len(answering_threads()) == 1, "the end of a thread")
    server.driver.put([Task(ITEMS, 0, ANY, "input", [1])])
    (lease,) = InMemoryTaskStore(StoreClient(second)).take()
    assert lease.task.payload == [1]


def test_c4_a_call_fails_when_the_driver_is_gone(server):
    store = InMemoryTaskStore(StoreClient(server.connect()))
    store.status()
    server.store.close("the run is over")
    with pytest.raises(ServiceError, match="the run is over"):
        store.take()
    ours, theirs = server.rpc.connect(0), server.connections[-1]
    ours.close()
    theirs.close()
    with pytest.raises(ServiceError, match="the driver of this run is gone"):
        store.take()


@pytest.mark.parametrize("method", ["join", "evict", "put", "close", "_check", "__init__"])
def test_a_call_of_a_method_that_is_not_for_workers_closes_the_connection(server, method):
    with pytest.raises(ServiceError, match="is gone"):
        StoreClient(server.connect())(method)
    assert len(server.driver.load().idle) == 1


def test_an_error_of_the_store_is_raised_in_the_worker_and_the_connection_stays(server):
    store = InMemoryTaskStore(StoreClient(server.connect()))
    server.driver.put([Task(ITEMS, 0, ANY, "input", [1])])
    (lease,) = store.take()
    store.commit(Commit(leases=[lease]))
    with pytest.raises(ServiceError, match="given to another one"):
        store.commit(Commit(leases=[lease]))
    store.log("IterativePE0", 0, "still here")
    assert server.driver.events(LIMIT) == [LogLine("IterativePE0", 0, "still here")]


def test_c4_connections_that_are_not_served_are_closed(server):
    connection = server.rpc.connect(server.driver.join())
    server.rpc.close()
    assert connection.closed
