"""A PE whose work is given, and runners of it."""

import pytest

from dispel4py import GenericPE, IterativePE, ProducerPE, WorkflowGraph
from dispel4py.engine.calls.log_lines import LogLines
from dispel4py.engine.calls.runner import Runner
from dispel4py.engine.calls.runner_options import RunnerOptions
from dispel4py.engine.planning.plan import make_plan
from dispel4py.errors import ProcessingError


class Work(GenericPE):
    """One input, two outputs; what it does is given."""

    def __init__(self, work=None):
        super().__init__()
        self._add_input("input")
        self._add_output("output")
        self._add_output("second")
        self.work = work

    def process(self, inputs):
        return self.work(self, inputs)


class Each(IterativePE):
    def __init__(self, work):
        super().__init__()
        self.work = work

    def _process(self, data):
        return self.work(data)


def make_runner(pe, *, root: bool = False, on_written=None, log=None, **options) -> Runner:
    """A runner for a PE, preprocessed; number 0 if it is a root, number 1 behind a producer."""
    options["lines"] = None if log is None else LogLines(log)
    graph = WorkflowGraph()
    if root:
        graph.add(pe)
    else:
        graph.connect(ProducerPE(), "output", pe, "input")
    planned = make_plan(graph).pes[-1]
    runner = Runner(planned, 0, on_written or (lambda runner: None), RunnerOptions(**options))
    runner.preprocess()
    return runner


def written(pe, items, **options) -> dict[str, list]:
    runner = make_runner(pe, **options)
    runner.process(None if options.get("root") else "input", items)
    return {name: data for name, data in runner.written.items() if data}


def live(pe, **options) -> None:
    """From preprocess to postprocess, with one item."""
    runner = make_runner(pe, **options)
    runner.process("input", [1])
    runner.postprocess()


def failure(pe, items=(1,), **options) -> ProcessingError:
    with pytest.raises(ProcessingError) as raised:
        written(pe, items, **options)
    return raised.value
