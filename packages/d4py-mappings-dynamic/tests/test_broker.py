"""Connections between worker processes and the table of the driver."""

import os
import threading
from multiprocessing.connection import Connection

import pytest

from d4py_dynamic.store.memory.rpc import StoreClient, StoreServer
from d4py_dynamic.store.memory.run_store import InMemoryRunStore
from d4py_dynamic.store.memory.store import InMemoryStore
from d4py_dynamic.store.memory.task_store import InMemoryTaskStore
from d4py_dynamic.store.protocols import LogLine
from d4py_dynamic.store.tasks import ANY, ITEMS, Commit, Task
from dispel4py import IterativePE, WorkflowGraph
from dispel4py.engine.plan import make_plan
from dispel4py.errors import ServiceError


class Office:
    """A table with a broker, and lines as processes of their own would have them."""

    def __init__(self):
        graph = WorkflowGraph()
        graph.add(IterativePE())
        self.table = InMemoryStore(1)
        self.driver = InMemoryRunStore(self.table, make_plan(graph))
        self.broker = StoreServer(self.table)
        self.lines = []

    def line(self):
        rank = self.driver.join()
        self.lines.append(Connection(os.dup(self.broker.connect(rank).fileno())))
        self.broker.serve()
        return self.lines[-1]

    def close(self):
        self.table.close()
        self.broker.close()
        for line in self.lines:
            line.close()


def answering():
    return [thread for thread in threading.enumerate() if thread.name.startswith("d4py-answer")]


@pytest.fixture
def office(wait_until):
    office = Office()
    yield office
    office.close()
    wait_until(lambda: not answering(), "the end of all threads")


def test_c5_a_line_that_is_closed_ends_its_thread_and_no_other(office, wait_until):
    first, second = office.line(), office.line()
    InMemoryTaskStore(StoreClient(first)).status()
    first.close()
    wait_until(lambda: len(answering()) == 1, "the end of a thread")
    office.driver.put([Task(ITEMS, 0, ANY, "input", [1])])
    (lease,) = InMemoryTaskStore(StoreClient(second)).take()
    assert lease.task.payload == [1]


def test_c4_a_worker_whose_driver_is_gone_is_told_so(office):
    store = InMemoryTaskStore(StoreClient(office.line()))
    store.status()
    office.table.close("the run is over")
    with pytest.raises(ServiceError, match="the run is over"):
        store.take()
    ours, theirs = office.broker.connect(0), office.lines[-1]
    ours.close()
    theirs.close()
    with pytest.raises(ServiceError, match="the driver of this run is gone"):
        store.take()


@pytest.mark.parametrize("method", ["join", "evict", "put", "close", "_check", "__init__"])
def test_what_is_not_for_workers_ends_the_line(office, method):
    with pytest.raises(ServiceError, match="is gone"):
        StoreClient(office.line())(method)
    assert len(office.driver.load().idle) == 1


def test_an_error_of_the_table_is_raised_at_the_worker_and_the_line_goes_on(office):
    store = InMemoryTaskStore(StoreClient(office.line()))
    office.driver.put([Task(ITEMS, 0, ANY, "input", [1])])
    (lease,) = store.take()
    store.commit(Commit(leases=[lease]))
    with pytest.raises(ServiceError, match="given to another one"):
        store.commit(Commit(leases=[lease]))
    store.log("IterativePE0", 0, "still here")
    assert office.driver.events(1.0) == [LogLine("IterativePE0", 0, "still here")]


def test_c4_lines_that_nobody_answered_are_closed(office):
    line = office.broker.connect(office.driver.join())
    office.broker.close()
    assert line.closed
