"""PEs whose work is given, and runners of them, for tests of threads."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from dispel4py import IterativePE, ProducerPE, WorkflowGraph
from dispel4py.engine.calls.runner import Runner
from dispel4py.engine.calls.runner_options import RunnerOptions
from dispel4py.engine.planning.plan import make_plan

LIMIT = 30.0


def chain(*pes):
    graph = WorkflowGraph()
    for source, destination in pairwise(pes):
        graph.connect(source, "output", destination, "input")
    return graph


class Each(IterativePE):
    """Does what it is given with each item."""

    def __init__(self, work):
        super().__init__()
        self.work = work

    def _process(self, data):
        return self.work(self, data)


class Root(ProducerPE):
    def __init__(self, work):
        super().__init__()
        self.work = work

    def _process(self, inputs):
        return self.work(self)


class Relay(IterativePE):
    def _process(self, data):
        return data


def in_thread(work, *arguments):
    """Do something in another thread, and return or raise what came of it."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work, *arguments).result(LIMIT)


def make_runner(pe, *, restored=None, **options):
    planned = make_plan(chain(Root(None), pe)).pes[1]
    options = RunnerOptions(**options)
    runner = Runner(planned, 0, lambda runner: None, options, restored=restored)
    runner.preprocess()
    return runner
