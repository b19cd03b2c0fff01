"""What a worker leaves behind, as the driver handles it; the test plays the workers."""

import pickle
import threading

import pytest

from d4py_conformance.waiting import LIMIT
from d4py_dynamic.driver.driver import Driver
from d4py_dynamic.driver.supervisor import WorkerSupervisor
from d4py_dynamic.store.memory.run_store import InMemoryRunStore
from d4py_dynamic.store.memory.store import InMemoryStore
from d4py_dynamic.store.memory.task_store import InMemoryTaskStore
from d4py_dynamic.store.tasks import ITEMS, Commit, Task, is_counted
from dispel4py import IterativePE, ProducerPE, WorkflowGraph
from dispel4py.engine.planning.plan import make_plan
from dispel4py.errors import WorkerLostError
from dispel4py.result import RunOptions, RunStats


class Tally(IterativePE):
    def _postprocess(self):
        self.write("output", "told")


class NoProcesses:
    """Workers that the test plays itself."""

    def check(self):
        return []

    def add(self, arguments):
        raise AssertionError("no worker was lost")

    def kill(self, number):
        raise AssertionError("no worker was late")

    def is_running(self, number):
        return True

    def finishing(self, number):
        return []

    def wait_until_ended(self, look, name):
        look()


class Run:
    """A driver in a thread, with two workers of which the first has a replica of Tally1."""

    def __init__(self):
        graph = WorkflowGraph()
        graph.connect(ProducerPE(), "output", Tally(), "input")
        self.plan = make_plan(graph)
        table = InMemoryStore(len(self.plan.pes))
        self.store = InMemoryRunStore(table, self.plan)
        ranks = [self.store.join() for _ in range(2)]
        self.workers = [
            InMemoryTaskStore(lambda method, *rest, rank=rank: getattr(table, method)(rank, *rest))
            for rank in ranks
        ]
        self.supervisor = WorkerSupervisor(
            self.plan, self.store, NoProcesses(), ranks, tuple, lambda: None
        )
        self.workers[0].commit(Commit(replicas=[1]))
        self.result = self.error = None
        self.thread = threading.Thread(target=self._drive, daemon=True)
        self.thread.start()

    def take_work(self, number):
        """Return the next leases of a worker that are not control messages."""
        while True:
            leases = self.workers[number].take(seconds=LIMIT)
            work = [lease for lease in leases if is_counted(lease.task)]
            if work or not leases:
                return work
            self.workers[number].commit(Commit(leases=leases))

    def _drive(self):
        arguments = self.plan, {}, self.store, None, self.supervisor, RunOptions(), RunStats("test")
        try:
            self.result = Driver(*arguments).run()
        except Exception as error:
            self.error = error


@pytest.fixture
def made():
    return Run()


def test_d2_a_replica_left_while_it_was_to_be_postprocessed_is_postprocessed_elsewhere(made):
    # Given a worker that was told to postprocess its replica
    (lease,) = made.take_work(0)
    assert lease.task.payload is None
    # When it leaves instead
    replica = pickle.dumps("the replica")
    made.workers[0].commit(Commit(orphans=[(1, replica)]))
    made.supervisor.on_worker_exited(WorkerLostError(0, 1, "interrupted"), drained=True)
    # Then another worker gets the replica, and the run ends when that is done
    (lease,) = made.take_work(1)
    assert lease.task.payload == replica
    made.workers[1].commit(Commit(leases=[lease], results=[("Tally1", "output", ["told"])]))
    made.thread.join(LIMIT)
    assert made.error is None
    assert made.result.outputs == {"Tally1": {"output": ["told"]}}


def test_c5_a_worker_that_leaves_with_its_replica_is_an_error(made):
    made.take_work(0)
    with pytest.raises(
        WorkerLostError, match="Tally1, with what its postprocess would have written"
    ):
        made.supervisor.on_worker_exited(WorkerLostError(0, 1, "interrupted"), drained=True)


@pytest.mark.parametrize(("drained", "delivery_count"), [(True, 0), (False, 1)])
def test_a_worker_that_drained_does_not_count_as_a_delivery(made, drained, delivery_count):
    made.take_work(0)
    made.workers[0].commit(Commit(orphans=[(1, b"")], tasks=[Task(ITEMS, 1, payload=["an item"])]))
    (lease,) = made.take_work(0)
    made.supervisor.on_worker_exited(WorkerLostError(0, 1, "gone"), drained=drained)
    (again,) = made.take_work(1)
    assert again.task == lease.task
    assert again.delivery_count == delivery_count
