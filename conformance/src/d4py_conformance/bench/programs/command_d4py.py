"""A workflow for the whole command: a number through two PEs."""

from dispel4py import IterativePE, ProducerPE, WorkflowGraph


class Number(ProducerPE):
    """Sends a number."""

    def _process(self, inputs):
        return 1


class Relay(IterativePE):
    """Sends what it gets."""

    def _process(self, data):
        return data


graph = WorkflowGraph()
graph.connect(Number(), "output", Relay(), "input")
