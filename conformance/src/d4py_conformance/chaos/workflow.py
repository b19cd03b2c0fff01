"""The workflow of the chaos tests, and what comes out of it by plain Python.

It has word counts behind a stateless chain, a running sum, a broadcast, an average and a stateless
heavy chain.  Results name the process that made them, so that what disturbs the run can see
which process owns what, and when another one has taken over.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from d4py_conformance.chaos.faults import Count, Heard, Name, RunningSum
from d4py_conformance.pes.common import Relay
from d4py_conformance.waiting import wait_until
from dispel4py import GenericPE, IterativePE, WorkflowGraph
from dispel4py.new.aggregate import AverageParallelPE, AverageReducePE, parallel_aggregate

#: Seconds that the root takes per call, and a PE of the heavy chain per item.
PACE, HEAVY = 0.004, 0.002
#: Environment variables: the root's call that waits for a file, and the file.
GATE_CALL, GATE_FILE = "D4PY_CHAOS_GATE_CALL", "D4PY_CHAOS_GATE_FILE"
#: Longest time that it waits, in seconds.
GATE_SECONDS = 180.0


class Paced(GenericPE):
    """A root that sends 1, 2, 3, … a little isolated; at one of these it may wait for a file."""

    def __init__(self) -> None:
        super().__init__()
        self._add_output("output")
        self.number = 0

    def process(self, inputs: Any) -> dict[str, Any]:
        time.sleep(PACE)
        self.number += 1
        if self.number == int(os.environ.get(GATE_CALL, "0")):
            file = Path(os.environ[GATE_FILE])
            wait_until(file.exists, f"the file {file}", GATE_SECONDS)
        return {"output": self.number}


class Heavy(IterativePE):
    """Adds one to a number, and takes its time."""

    def _process(self, data: int) -> int:
        time.sleep(HEAVY)
        return data + 1


class Alone(IterativePE):
    """Makes an item of an aggregate of a number."""

    def _process(self, data: int) -> list[int]:
        return [data]


class _TellsProcess(GenericPE):
    def process(self, inputs: Any) -> dict[str, Any]:
        made = super().process(inputs)
        assert made is not None
        return {"output": (made["output"], os.getpid())}


class CountHere(_TellsProcess, Count):
    """`Count` that sends ((word, count), process)."""


class SumHere(_TellsProcess, RunningSum):
    """`RunningSum` that sends (sum, process)."""


def make_graph() -> WorkflowGraph:
    """Return the workflow; its root is to be called a number of times."""
    graph = WorkflowGraph()
    root, name, relay = Paced(), Name(), Relay()
    heavy, alone = Heavy(), Alone()
    average = AverageParallelPE(0)
    average.stateful, average.numprocesses = True, 2
    graph.connect(root, "output", name, "input")
    graph.connect(name, "output", relay, "input")
    graph.connect(relay, "output", CountHere(), "input")
    graph.connect(root, "output", SumHere(), "input")
    graph.connect(name, "output", Heard(), "input")
    graph.connect(root, "output", heavy, "input")
    graph.connect(heavy, "output", Heavy(), "input")
    graph.connect(root, "output", alone, "input")
    graph.connect(alone, "output", parallel_aggregate(average, AverageReducePE()), "input")
    return graph


graph = make_graph()


def model(calls: int) -> dict[str, list[Any]]:
    """Return each PE's results after so many calls, without processes, by the PE's name."""
    numbers = range(1, calls + 1)
    named = [("abcde"[number % 5], number) for number in numbers]
    counts = Counter(word for word, _ in named)
    total = sum(numbers)
    return {
        "CountHere": [(word, n) for word in counts for n in range(1, counts[word] + 1)],
        "SumHere": [sum(range(1, number + 1)) for number in numbers],
        "Heard": [sorted(named)] * 2,
        "Heavy": [number + 2 for number in numbers],
        "AverageReducePE": [[total / calls, calls, total]],
    }
