"""A workflow with grouped and ordered state whose run is disturbed every few results."""

from collections import Counter

from d4py_conformance.chaos.faults import Count, Name, RunningSum, Ticks
from dispel4py import WorkflowGraph

CALLS = 400


def make_graph(seconds=0.002):
    """Return the workflow; its root sends an item every so many seconds."""
    graph = WorkflowGraph()
    ticks, name = Ticks(seconds), Name()
    graph.connect(ticks, "output", name, "input")
    graph.connect(name, "output", Count(), "input")
    graph.connect(ticks, "output", RunningSum(), "input")
    return graph


def model():
    """Return the outputs of `CALLS` calls."""
    counts = Counter("abcde"[number % 5] for number in range(1, CALLS + 1))
    return {
        "Count2": {"output": [(word, n) for word in counts for n in range(1, counts[word] + 1)]},
        "RunningSum3": {"output": [n * (n + 1) // 2 for n in range(1, CALLS + 1)]},
    }


class Disturber:
    """Does something every few results of a run, as its ``on_result``."""

    def __init__(self, every, disturb):
        self.outputs, self.results, self.disturbed = {}, 0, 0
        self._every, self._disturb = every, disturb

    def __call__(self, pe_id, output, item):
        self.results += 1
        if output != "process":
            self.outputs.setdefault(pe_id, {}).setdefault(output, []).append(item)
        if self.results % self._every == 0:
            self.disturbed += 1
            self._disturb()
