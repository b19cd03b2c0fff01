"""Tiny items through five stages that change nothing, on a mapping of d4py."""

from time import perf_counter

from report import arguments, report

from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run

STAGES = 5


class Numbers(ProducerPE):
    """Sends a number per call."""

    number = 0

    def _process(self, inputs):
        self.number += 1
        return self.number


class Relay(IterativePE):
    """Sends what it gets."""

    def _process(self, data):
        return data


def main() -> None:
    """Run it."""
    mapping, count = arguments()
    graph = WorkflowGraph()
    source = Numbers()
    for _ in range(STAGES):
        relay = Relay()
        graph.connect(source, "output", relay, "input")
        source = relay
    started_at = perf_counter()
    result = run(graph, mapping, count)
    seconds = perf_counter() - started_at
    (outputs,) = result.outputs.values()
    report(seconds, sum(outputs["output"]))


if __name__ == "__main__":
    main()
