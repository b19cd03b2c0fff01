"""PEs, a handler and a clock for tests of the executor by itself."""

import itertools

from dispel4py import GenericPE, IterativePE, ProducerPE, WorkflowGraph
from dispel4py.engine.execution.executor import Executor
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.planning.plan import make_plan

#: Most items in a batch.
BATCH = EngineLimits().batch_items

#: Items that a call writes before they are sent.
WRITTEN = EngineLimits().written_items


class OutputHandler:
    """Notes what leaves."""

    def __init__(self):
        self.sent = []
        self.results = []

    def send(self, pe, instance, input_name, items):
        self.sent.append((pe, instance, input_name, items))

    def result(self, pe_id, output, items):
        self.results += items


class Clock:
    """Stands for `perf_counter`; time passes only where a test moves it."""

    now = 0.0

    def __call__(self):
        return self.now


class Count(ProducerPE):
    total = 0

    def _process(self, inputs):
        self.total += 1
        return self.total


class Same(IterativePE):
    def _process(self, data):
        return data


class Each(IterativePE):
    def __init__(self, work, numprocesses=1):
        super().__init__()
        self.work, self.numprocesses = work, numprocesses

    def _process(self, data):
        return self.work(data)


class Writer(GenericPE):
    """Writes with `write`; `work` is called with the PE and the item."""

    def __init__(self, work=lambda pe, item: pe.write("output", item)):
        super().__init__()
        self._add_input("input")
        self._add_output("output")
        self.work = work

    def process(self, inputs):
        self.work(self, inputs.get("input"))


def chain(*nodes) -> WorkflowGraph:
    graph = WorkflowGraph()
    for node in nodes:
        graph.add(node)
    for source, destination in itertools.pairwise(nodes):
        graph.connect(source, "output", destination, "input")
    return graph


def make_executor(graph: WorkflowGraph, **options) -> tuple[Executor, OutputHandler]:
    handler = OutputHandler()
    return Executor(make_plan(graph), handler, **options), handler


def call(executor: Executor, times: int, pe: int = 0) -> None:
    calls = iter([{} for _ in range(times)])
    while executor.call_root(pe, calls):
        pass
