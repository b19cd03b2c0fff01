"""C5, H2: workers that are killed while stateful PEs count; every item counts once all the same."""

from collections import Counter

import pytest

from d4py_conformance.compare import assert_outputs
from d4py_conformance.faults import (
    VICTIMS,
    Count,
    Heard,
    Killer,
    Name,
    RunningSum,
    Ticks,
    some_faults,
)
from d4py_conformance.pes import Relay
from dispel4py import WorkflowGraph

CALLS = 300


def make_graph():
    """Word counts behind a stateless chain, a running sum and a broadcast."""
    graph = WorkflowGraph()
    ticks, name, relay = Ticks(), Name(), Relay()
    graph.connect(ticks, "output", name, "input")
    graph.connect(name, "output", relay, "input")
    graph.connect(relay, "output", Count(), "input")
    graph.connect(ticks, "output", RunningSum(), "input")
    graph.connect(name, "output", Heard(), "input")
    return graph


def model():
    """What comes out of that, by plain Python."""
    numbers = range(1, CALLS + 1)
    named = [("abcde"[number % 5], number) for number in numbers]
    counts = Counter(word for word, _ in named)
    return {
        "Count3": {"output": [(word, n) for word in counts for n in range(1, counts[word] + 1)]},
        "RunningSum4": {"output": [sum(range(1, number + 1)) for number in numbers]},
        "Heard5": {"output": [sorted(named)] * 2},
    }


def survives(execute, faults):
    killer = Killer(faults)
    result = execute(make_graph(), CALLS, 3, on_result=killer)
    assert_outputs(killer.outputs, model())
    assert killer.outputs["RunningSum4"] == model()["RunningSum4"]  # in order, too
    assert 0 < len(result.stats.notes) <= len(killer.killed)  # the end may come before the note


@pytest.mark.parametrize("whom", VICTIMS)
def test_h2_some_worker_is_killed(execute, whom):
    survives(execute, {200: whom})


@pytest.mark.parametrize("seed", range(4))
def test_h2_workers_are_killed_again_and_again(execute, seed):
    survives(execute, some_faults(seed, 2 * CALLS, 5))
