"""PEs and graphs for tests of the mapping `simple`."""

import itertools

from dispel4py import GenericPE, IterativePE, ProducerPE, WorkflowGraph, run


class Count(ProducerPE):
    """1, 2, 3, …"""

    total = 0

    def _process(self, inputs):
        self.total += 1
        return self.total


class Each(IterativePE):
    """Calls a function on each item."""

    def __init__(self, work=lambda data: data, numprocesses=1, grouping=None):
        super().__init__()
        self.work, self.numprocesses = work, numprocesses
        if grouping is not None:
            self.inputconnections["input"]["grouping"] = grouping

    def _process(self, data):
        return self.work(data)


class Where(GenericPE):
    """Says which of its instances got an item."""

    made = 0

    def __init__(self, grouping=None, numprocesses=4):
        super().__init__(numprocesses)
        self._add_input("input", grouping=grouping)
        self._add_output("output")

    def preprocess(self):
        Where.made += 1
        self.own_number = Where.made

    def process(self, inputs):
        return {"output": (self.own_number, inputs["input"])}


def chain(*nodes) -> WorkflowGraph:
    graph = WorkflowGraph()
    for node in nodes:
        graph.add(node)
    for source, destination in itertools.pairwise(nodes):
        graph.connect(source, "output", destination, "input")
    return graph


def outputs(graph, inputs=1, mapping="simple", **options) -> list:
    """What the only output without an edge got."""
    ((only,),) = (
        by_output.values() for by_output in run(graph, mapping, inputs, **options).outputs.values()
    )
    return only
