"""I7: random numbers of an instance go with it from one worker to the next."""

import random

import pytest

from d4py_conformance.chaos.faults import VICTIMS, Killer, Ticks
from d4py_conformance.expected.compare import assert_outputs
from dispel4py import GenericPE, WorkflowGraph, run

CALLS = 300
SEED = 7


class DrawingTicks(Ticks):
    """Ticks that come with a number from Python's generator."""

    def process(self, inputs):
        outputs = super().process(inputs)
        return {**outputs, "output": (outputs["output"], random.getrandbits(64))}


class Walk(GenericPE):
    """Sends where a random walk has come, by numbers of NumPy's generator, at each item."""

    stateful = True

    def __init__(self):
        super().__init__()
        self._add_input("input")
        self._add_output("output")
        self.place = 0.0

    def process(self, inputs):
        import numpy as np

        self.place += float(np.random.normal())
        return {"output": (*inputs["input"], self.place, random.gauss(0.0, 1.0))}


def make_graph(seconds):
    graph = WorkflowGraph()
    ticks, walk = DrawingTicks(seconds), Walk()
    graph.connect(ticks, "output", walk, "input")
    return graph


@pytest.mark.parametrize("whom", VICTIMS)
def test_i7_a_killed_worker_changes_no_numbers(execute, whom):
    pytest.importorskip("numpy")
    calm = run(make_graph(0.0), inputs=CALLS, seed=SEED).outputs["Walk1"]
    killer = Killer({150: whom, 400: whom})
    execute(make_graph(0.002), CALLS, 3, on_result=killer, seed=SEED)
    assert killer.killed
    assert_outputs(killer.outputs, {"Walk1": calm})
