"""Nested items (dicts of lists of floats) over two hops, on a mapping of d4py."""

from time import perf_counter

from report import arguments, report
from workloads import nested

from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run


class Nested(ProducerPE):
    """Sends a nested item per call."""

    number = 0

    def _process(self, inputs):
        self.number += 1
        return nested(self.number)


class Relay(IterativePE):
    """Sends what it gets."""

    def _process(self, data):
        return data


class Read(IterativePE):
    """Keeps a sum, and sends it at the end."""

    stateful = True
    total = 0.0

    def _process(self, data):
        self.total += data["samples"][-1]["values"][-1]

    def _postprocess(self):
        self.write("output", self.total)


def main() -> None:
    """Run it."""
    mapping, count = arguments()
    graph = WorkflowGraph()
    relay = Relay()
    graph.connect(Nested(), "output", relay, "input")
    graph.connect(relay, "output", Read(), "input")
    started_at = perf_counter()
    result = run(graph, mapping, count, 3)
    report(perf_counter() - started_at, sum(result.outputs["Read2"]["output"]))


if __name__ == "__main__":
    main()
