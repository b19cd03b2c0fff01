"""I7: the random numbers of an instance continue in the next worker."""

import random

import pytest

from d4py_conformance.chaos.faults import VICTIMS, Killer, Ticks
from d4py_conformance.expected.compare import assert_outputs
from dispel4py import GenericPE, WorkflowGraph, run

CALLS = 300
SEED = 7


class DrawingTicks(Ticks):
    """Ticks with a number of Python's random generator."""

    def process(self, inputs):
        outputs = super().process(inputs)
        return {**outputs, "output": (outputs["output"], random.getrandbits(64))}


class Walk(GenericPE):
    """Sends the place of a random walk, by numbers of NumPy's generator, at each item."""

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


@pytest.mark.parametrize("victim", VICTIMS)
def test_i7_random_numbers_are_the_same_when_a_worker_is_killed(execute, victim):
    pytest.importorskip("numpy")
    undisturbed = run(make_graph(0.0), inputs=CALLS, seed=SEED).outputs["Walk1"]
    killer = Killer({150: victim, 400: victim})
    execute(make_graph(0.002), CALLS, 3, on_result=killer, seed=SEED)
    assert killer.killed
    assert_outputs(killer.outputs, {"Walk1": undisturbed})
