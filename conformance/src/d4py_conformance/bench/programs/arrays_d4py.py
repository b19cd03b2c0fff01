"""Arrays of 1 MiB over three hops between processes, on a mapping of d4py."""

from time import perf_counter

import numpy
from report import arguments, report
from workloads import ARRAY, HOPS

from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run


class Arrays(ProducerPE):
    """Sends a new array per call."""

    number = 0

    def _process(self, inputs):
        self.number += 1
        return numpy.full(ARRAY, float(self.number))


class Relay(IterativePE):
    """Sends what it gets; `stateful`, so that each hop leads to another process."""

    stateful = True

    def _process(self, data):
        return data


class StatelessRelay(IterativePE):
    """The same for mappings without stateful PEs, which follow an item in one process."""

    def _process(self, data):
        return data


class Sum(IterativePE):
    """Sends the first number of each array."""

    def _process(self, data):
        return float(data[0])


def main() -> None:
    """Run it."""
    mapping, count = arguments()
    relay = StatelessRelay if mapping.startswith("dyn_") else Relay
    graph = WorkflowGraph()
    source = Arrays()
    for _ in range(HOPS - 1):
        destination = relay()
        graph.connect(source, "output", destination, "input")
        source = destination
    sink = Sum()
    graph.connect(source, "output", sink, "input")
    started_at = perf_counter()
    result = run(graph, mapping, count, HOPS + 1)
    seconds = perf_counter() - started_at
    (outputs,) = result.outputs.values()
    report(seconds, sum(outputs["output"]))


if __name__ == "__main__":
    main()
