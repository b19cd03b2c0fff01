"""A run with any number of workers in one process: the real code, in virtual time.

Real are the driver, the supervisor, the autoscaler with its policy, the in-memory store with its
commits and evictions, and the workers with their leases, batches, preemption and backpressure.
Modelled are the network (a latency), the store's server (one core that serves calls in the order in
which they come, each for a time that was measured), the driver's computing, and PEs (they sleep).
"""

from collections import Counter
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import NamedTuple

from d4py_dynamic.driver.driver import Driver
from d4py_dynamic.driver.supervisor import WorkerSupervisor
from d4py_dynamic.store.memory.run_store import InMemoryRunStore
from d4py_dynamic.store.memory.store import InMemoryStore
from d4py_dynamic.store.memory.task_store import InMemoryTaskStore
from d4py_dynamic.worker.limits import WorkerLimits
from d4py_dynamic.worker.loop import Worker
from dispel4py import GenericPE, IterativePE, WorkflowGraph
from dispel4py.engine.inputs import root_inputs
from dispel4py.engine.planning.plan import make_plan, replicate_stateless
from dispel4py.result import RunOptions, RunStats
from dynamic_helpers.virtual_time import VirtualTime

#: What a worker computes for a lease, beside its PEs, in seconds.
WORKER_SECONDS = 300e-6


@dataclass(frozen=True)
class Costs:
    """What calls take, in seconds.

    Attributes:
        network: latency of a message.
        calls: method of a store, of a worker or of the driver → the server's time for it.
        event: the driver's time for an event, beside the server's.
        lease: a worker's time for a lease, beside that of its PEs.
        shared_core: the driver computes on the server's core, as it does with the in-memory store.
    """

    network: float
    calls: dict[str, float]
    event: float
    lease: float
    shared_core: bool
    other_calls: float = 20e-6


class Core:
    """A core that works at one thing at a time, in the order of requests."""

    def __init__(self, virtual):
        self._virtual = virtual
        self._free_at = self.busy = 0.0

    def work(self, seconds):
        begin = max(self._virtual.now, self._free_at)
        self._free_at = begin + seconds
        self.busy += seconds
        self._virtual.sleep(self._free_at - self._virtual.now)


class Outcome(NamedTuple):
    """What a run has shown.

    Attributes:
        seconds: how long it took.
        efficiency: time in PEs, per time of all workers until the last item was done.
        server: how busy the server's core was, from 0 to 1.
        driver: how busy the driver's core was.
        calls: method → how often it was called.
        results: number of results.
    """

    seconds: float
    efficiency: float
    server: float
    driver: float
    calls: Counter
    results: int


class ModelledRun:
    """One run.

    Args:
        graph: the graph; its PEs sleep by `virtual.sleep`.
        inputs: number of calls of each root.
        workers: number of workers.
        costs: what calls take.
        policy: scales the workers; None leaves all of them active.
        limits: of the workers.
    """

    def __init__(self, virtual, graph, inputs, workers, costs, policy=None, limits=WorkerLimits()):
        self._virtual = virtual
        self._costs = costs
        self._policy = policy
        self._limits = limits
        self._inputs = inputs
        self._plan = replicate_stateless(make_plan(graph, RunOptions(seed=1)))
        self._count = workers
        self.calls = Counter()

    def run(self):
        with self._virtual.installed():
            return self._virtual.run(self._run)

    def _run(self):
        virtual, costs = self._virtual, self._costs
        self._table = InMemoryStore(len(self._plan.pes))
        self._server = Core(virtual)
        self._driver = self._server if costs.shared_core else Core(virtual)
        store = DriverCalls(InMemoryRunStore(self._table, self._plan), self)
        ranks = [store.join() for _ in range(self._count)]
        processes = Processes(virtual, self._serve, ranks)
        supervisor = WorkerSupervisor(
            self._plan, store, processes, ranks, lambda rank: (rank,), lambda: None
        )
        began_at, Stage.worked = virtual.now, 0.0
        stats = RunStats("model", self._count, seed=1)
        given = root_inputs(self._plan, self._inputs)
        options = RunOptions(processes=self._count)
        result = Driver(
            self._plan, given, store, lambda: store, supervisor, options, stats, self._policy
        ).run()
        seconds = virtual.now - began_at
        return Outcome(
            seconds,
            Stage.worked / ((Stage.ended_at - began_at) * self._count),
            self._server.busy / seconds,
            self._driver.busy / seconds,
            self.calls,
            sum(len(items) for outputs in result.outputs.values() for items in outputs.values()),
        )

    def serve_call(self, method):
        """Let the server work for a call."""
        self.calls[method] += 1
        self._server.work(self._costs.calls.get(method, self._costs.other_calls))

    def handle_events(self, count):
        """Let the driver work for events."""
        if count:
            self._driver.work(self._costs.event * count)

    def _serve(self, rank):
        def call(method, *arguments):
            network = self._costs.network
            self._virtual.sleep(network)
            self.serve_call(method)
            called_at = self._virtual.now
            reply = getattr(self._table, method)(rank, *arguments)
            if self._virtual.now > called_at:  # it has waited, and is answered now
                self.serve_call(f"{method} after a wait")
            self._virtual.sleep(network + (self._costs.lease if method == "take" and reply else 0))
            return reply

        Worker(self._plan, InMemoryTaskStore(call), rank, limits=self._limits).serve()


class DriverCalls:
    """The driver's side of a store, with what its calls take."""

    def __init__(self, store, model):
        self._store, self._model = store, model

    def __getattr__(self, name):
        method = getattr(self._store, name)

        def call(*arguments, **options):
            self._model.serve_call(f"driver.{name}")
            reply = method(*arguments, **options)
            if name == "events":
                self._model.handle_events(len(reply))
            return reply

        return call


@dataclass
class Processes:
    """Workers as greenlets, as the driver's supervisor sees processes."""

    virtual: VirtualTime
    serve: object
    ranks: list
    running: list = field(default_factory=list)

    def __post_init__(self):
        self.running = [self.virtual.start(lambda r=rank: self.serve(r)) for rank in self.ranks]

    def check(self):
        return []

    def is_running(self, number):
        return True

    def finishing(self, number):
        return []

    def wait_until_ended(self, look, name):
        while not all(worker.dead for worker in self.running):
            self.virtual.sleep(0.001)
            look()


class Root(GenericPE):
    """Sends a 1 per call."""

    def __init__(self, independent, seconds=0.0):
        super().__init__()
        self._add_output("output")
        self.independent_calls = independent
        self.seconds = seconds

    def process(self, inputs):
        if self.seconds:
            sleep(self.seconds)
        return {"output": 1}


class Stage(IterativePE):
    """Sends what it gets, after a while.

    Attributes:
        worked: for how long all of them have worked.
        ended_at: when the last of them was done.
    """

    worked = ended_at = 0.0

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def _process(self, data):
        sleep(self.seconds)
        Stage.worked += self.seconds
        Stage.ended_at = monotonic()
        return data


def costs_of(calls, *, network, shared_core):
    """Return costs of a store whose calls were measured; see `call_costs`."""
    shown = {
        "take": calls["take"],
        "take after a wait": calls["take"],
        "commit": calls["commit of results"],
        "status": calls["status"],
        "driver.events": calls["driver.events"],
        "driver.load": calls["driver.load"],
    }
    return Costs(network, shown, calls["event"], WORKER_SECONDS, shared_core)


def chain(stages, seconds, *, independent=True, root_seconds=0.0):
    """Return a graph of a root and stages that take some seconds per item.

    Args:
        stages: number of stages.
        seconds: how long an item takes in each.
        independent: workers may share the root's calls.
        root_seconds: how long a call of the root takes.
    """
    graph = WorkflowGraph()
    source = Root(independent, root_seconds)
    for _ in range(stages):
        stage = Stage(seconds)
        graph.connect(source, "output", stage, "input")
        source = stage
    return graph
