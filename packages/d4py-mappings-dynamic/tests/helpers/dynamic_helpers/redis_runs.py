"""A run on Redis with a root, a shared PE and a pinned one."""

from d4py_dynamic.store.tasks import ANY, ITEMS, Commit, ResumePoint, Task
from dispel4py import IterativePE, ProducerPE, WorkflowGraph
from dispel4py.engine.planning.plan import make_plan

ROOT, SHARED, PINNED = range(3)
OWNERS = [[(ROOT, 0)], [(PINNED, 0)]]


def plan_of_three():
    graph = WorkflowGraph()
    shared, pinned = IterativePE(), IterativePE()
    pinned.stateful = True
    graph.connect(ProducerPE(), "output", shared, "input")
    graph.connect(shared, "output", pinned, "input")
    return make_plan(graph)


def items(*values, pe=SHARED, instance=ANY):
    return Task(ITEMS, pe, instance, "input", list(values))


def use_every_key(opened):
    worker, owner = opened.workers
    opened.driver.put([items(1), items(2, pe=PINNED, instance=0)])
    opened.driver.unfinished([SHARED])
    (lease,) = worker.take()
    worker.commit(
        Commit(
            states=[((ROOT, 0), b"state")],
            instance_positions=[((ROOT, 0), ResumePoint(3))],
            lease_positions=[(lease, ResumePoint(0, (("output", 1),)))],
            tasks=[items(3)],
            results=[("IterativePE1", "output", [1])],
            counters=[(SHARED, 1, 1.0)],
            replicas=[SHARED],
        )
    )
    worker.log("IterativePE1", 0, "a line")
    owner.take(only=[(PINNED, 0)])
    opened.join()
    opened.driver.evict(1, [(PINNED, 0)])
