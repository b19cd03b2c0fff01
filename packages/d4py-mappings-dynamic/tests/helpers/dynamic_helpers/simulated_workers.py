"""Simulated workers of a store: what they take, send, save and commit."""

from collections import deque
from itertools import islice

from d4py_dynamic.store.serialization import CODEC
from d4py_dynamic.store.tasks import ANY, CALLS, ITEMS, Commit, ResumePoint, Task
from dispel4py import IterativePE, ProducerPE, WorkflowGraph

ROOT, SHARED, KEPT = range(3)


def make_graph():
    graph = WorkflowGraph()
    shared, kept = IterativePE(), IterativePE()
    kept.stateful, kept.numprocesses = True, 2
    graph.connect(ProducerPE(), "output", shared, "input")
    graph.connect(shared, "output", kept, "input")
    return graph


def units(task):
    """What a task has to be done for, one by one."""
    return [None] * task.payload if task.kind == CALLS else task.payload


class Instance:
    """A pinned instance in the hands of a worker, which need not be the only one to think so.

    Attributes:
        kept: its state: what it has got, or the numbers that the root has sent.
        leases: what it has to do, oldest first; of the first one `done` units are done.
        held: leases that are done since the state was saved.
        fresh: what it has made since its last commit.
        to_drop: how much of what comes next was sent by the last owner already.
        sent: how much was sent since the state was saved.
    """

    def __init__(self, pin, adopted):
        self.pin = pin
        self.kept = [] if adopted.state is None else CODEC.loads(adopted.state)
        self.leases, self.held = deque(adopted.leases), []
        self.done = self.saved_done = adopted.position.done
        self.sent = self.to_drop = dict(adopted.position.sent).get("output", 0)
        self.made, self.fresh = 0, []

    def work(self, count):
        """Do so many units, if there are so many."""
        while count and self.leases:
            todo = units(self.leases[0].task)
            for unit in todo[self.done : self.done + count]:
                self.kept.append(len(self.kept) + 1 if unit is None else unit)
                count -= 1
                self.done += 1
                self.made += 1
                if self.to_drop:
                    self.to_drop -= 1
                else:
                    self.fresh.append((self.kept[-1], len(self.kept)))
            if self.done == len(todo):
                self.held.append(self.leases.popleft())
                self.done = 0

    def send(self):
        """A commit in the middle of a call: what was sent, and how much that is; no state."""
        self.sent = max(self.sent, self.made)
        position = ResumePoint(self.saved_done, (("output", self.sent),))
        return Commit(instance_positions=[(self.pin, position)], **self._outgoing())

    def save(self):
        """A checkpoint."""
        position = ResumePoint(self.done, (("output", self.to_drop),))
        commit = Commit(
            leases=self.held,
            states=[(self.pin, CODEC.dumps(self.kept))],
            instance_positions=[(self.pin, position)],
            **self._outgoing(),
        )
        self.held, self.saved_done = [], self.done
        self.sent, self.made = self.to_drop, 0
        return commit

    def _outgoing(self):
        made, self.fresh = self.fresh, []
        if self.pin[0] == ROOT:
            return {"tasks": [Task(ITEMS, SHARED, ANY, "input", [item]) for item, _ in made]}
        return {"results": [("kept", "output", [(self.pin[1], *pair) for pair in made])]}


class Worker:
    """A worker: what it has taken and owns.

    Attributes:
        assigned: instances that were assigned to it, and that it has not adopted yet.
        shared: leases of shared tasks.
        owned: the instances that it has adopted.
    """

    def __init__(self, rank, store):
        self.rank, self.store = rank, store
        self.assigned, self.shared, self.owned = [], [], {}

    def take(self):
        for lease in self.store.take(seconds=0.0):
            pin = lease.task.pe, lease.task.instance
            (self.owned[pin].leases if pin in self.owned else self.shared).append(lease)

    def adopt(self):
        pin = self.assigned.pop(0)
        self.owned[pin] = Instance(pin, self.store.adopt(pin))

    def finish(self, lease):
        """The commit that ends a shared lease."""
        return Commit(leases=[lease], **self._made(lease, None))

    def send(self, lease, count):
        """A commit in the middle of a shared lease."""
        sent = self._sent(lease) + len(self._made(lease, count)["tasks"])
        position = ResumePoint(0, (("output", sent),))
        return Commit(lease_positions=[(lease, position)], **self._made(lease, count)), position

    def _sent(self, lease):
        return dict(lease.position.sent).get("output", 0)

    def _made(self, lease, count):
        items = [*islice(lease.task.payload[self._sent(lease) :], count)]
        return {
            "tasks": [Task(ITEMS, KEPT, item % 2, "input", [item]) for item in items],
            "results": [("shared", "output", items)],
        }
