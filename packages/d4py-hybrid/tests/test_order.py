"""M6, H2: items of an ordered input are in order though workers are killed."""

import os
import random
import signal
from multiprocessing import active_children

import pytest

from d4py_conformance.chaos.faults import Deadly, Ticks
from d4py_conformance.pes.order import TellsProcess, TwoOutputs, Uneven
from dispel4py import WorkflowGraph
from dispel4py.errors import RunError

CALLS = 200
VICTIMS = ("root", "ordered", "shared")


def some(number):
    return [number * 10 + i for i in range(number % 4)] if number % 3 else []


class Killer:
    """Kills the worker of the root, of the ordered input, or another one, after some results."""

    def __init__(self, plan):
        self.got, self.killed = [], []
        self._plan, self._owners = dict(plan), {}

    def __call__(self, pe_id, output, item):
        if output == "process":
            self._owners["root" if pe_id == "Ticks0" else "ordered"] = item
        else:
            self.got.append(item)
        at = len(self.got)
        if at in self._plan and len(self._owners) == 2:
            victim = self._plan.pop(at)
            workers = {child.pid for child in active_children()} - {*self.killed}
            others = workers - {*self._owners.values()}
            for pid in (
                {self._owners[victim]} & workers if victim in self._owners else [*others][:1]
            ):
                os.kill(pid, signal.SIGKILL)
                self.killed.append(pid)


def make_graph():
    """Return a graph of two paths through shared PEs, of which one drops and multiplies items."""
    graph = WorkflowGraph()
    ticks, split, last = Ticks(0.001), TwoOutputs(), TellsProcess()
    graph.connect(ticks, "output", stage := Uneven(some), "input")
    graph.connect(stage, "output", after := Uneven(), "input")
    graph.connect(after, "output", last, "input")
    graph.connect(ticks, "output", split, "input")
    graph.connect(split, "left", last, "input")
    graph.connect(split, "right", last, "input")
    return graph


def model():
    """Return what the ordered input gets, by plain Python."""
    items = []
    for number in range(1, CALLS + 1):
        items += some(number)
        items += [number * 10 + turn for turn in range(number % 4)]
    return [*enumerate(items, 1)]


@pytest.mark.parametrize("victim", VICTIMS)
def test_m6_order_is_kept_when_a_worker_is_killed(execute, victim):
    killer = Killer({40: victim, 150: victim})
    execute(make_graph(), CALLS, 4, on_result=killer)
    assert killer.got == model()
    assert killer.killed


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3))])
def test_m6_order_is_kept_when_workers_are_killed_repeatedly(execute, seed):
    chance = random.Random(seed)
    killer = Killer({at: chance.choice(VICTIMS) for at in chance.sample(range(1, 400), 6)})
    execute(make_graph(), CALLS, 4, on_result=killer)
    assert killer.got == model()
    assert killer.killed


def test_m6_an_item_that_kills_its_workers_leaves_no_gap(execute, chain):
    flow = chain(Ticks(0.0), Uneven(), Deadly(7), Uneven(), last := TellsProcess())
    result = execute(flow, 30, 3, on_error="skip")
    assert [failure.item for failure in result.failures] == [7]
    expected = [number for number in range(1, 31) if number != 7]
    assert result.outputs[f"{last.name}4"]["output"] == [*enumerate(expected, 1)]


class DeadlyInOrder(TellsProcess):
    """Kills its own process at an item."""

    def process(self, inputs):
        if inputs["input"] == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().process(inputs)


def test_c5_an_item_that_kills_the_owner_of_an_ordered_input_ends_the_run(execute, chain):
    with pytest.raises(RunError, match="its input 'input' is ordered"):
        execute(chain(Ticks(0.0), Uneven(), DeadlyInOrder()), 30, 3, on_error="skip")
