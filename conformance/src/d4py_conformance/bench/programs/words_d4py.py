"""Words that are counted by key in three instances, on a mapping of d4py."""

from time import perf_counter

from report import arguments, report
from workloads import COUNTERS, WORDS

from dispel4py import GenericPE, ProducerPE, WorkflowGraph, run


class Words(ProducerPE):
    """Sends a word per call."""

    number = -1

    def _process(self, inputs):
        self.number += 1
        return WORDS[self.number % 1009]


class Count(GenericPE):
    """Counts words, and sends the sum at the end."""

    def __init__(self):
        super().__init__(COUNTERS)
        self._add_input("input", grouping=[0])
        self._add_output("output")
        self.counts = {}

    def process(self, inputs):
        word, one = inputs["input"]
        self.counts[word] = self.counts.get(word, 0) + one

    def _postprocess(self):
        self.write("output", sum(self.counts.values()))


def main() -> None:
    """Run it."""
    mapping, count = arguments()
    graph = WorkflowGraph()
    graph.connect(Words(), "output", Count(), "input")
    started_at = perf_counter()
    result = run(graph, mapping, count, COUNTERS + 1)
    report(perf_counter() - started_at, sum(result.outputs["Count1"]["output"]))


if __name__ == "__main__":
    main()
