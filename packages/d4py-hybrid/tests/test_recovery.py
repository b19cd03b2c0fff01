"""C5, H2: workers are killed while stateful PEs count; every item counts exactly once."""

from collections import Counter

import pytest

from d4py_conformance.chaos.faults import (
    VICTIMS,
    Count,
    Fetched,
    Files,
    Heard,
    Killer,
    Name,
    Readings,
    RunningSum,
    Ticks,
    some_faults,
    written_files,
)
from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.common import Relay
from d4py_conformance.pes.lifecycle import Total
from dispel4py import WorkflowGraph, run

CALLS = 300


def make_graph():
    """Return a graph of word counts behind a stateless chain, a running sum and a broadcast."""
    graph = WorkflowGraph()
    ticks, name, relay = Ticks(), Name(), Relay()
    graph.connect(ticks, "output", name, "input")
    graph.connect(name, "output", relay, "input")
    graph.connect(relay, "output", Count(), "input")
    graph.connect(ticks, "output", RunningSum(), "input")
    graph.connect(name, "output", Heard(), "input")
    return graph


def model():
    """Return the results of that graph, by plain Python."""
    numbers = range(1, CALLS + 1)
    named = [("abcde"[number % 5], number) for number in numbers]
    counts = Counter(word for word, _ in named)
    return {
        "Count3": {"output": [(word, n) for word in counts for n in range(1, counts[word] + 1)]},
        "RunningSum4": {"output": [sum(range(1, number + 1)) for number in numbers]},
        "Heard5": {"output": [sorted(named)] * 2},
    }


def assert_exact_with(execute, faults):
    """Assert that the results are those of the model whatever is killed."""
    killer = Killer(faults)
    result = execute(make_graph(), CALLS, 3, on_result=killer)
    assert_outputs(killer.outputs, model())
    assert killer.outputs["RunningSum4"] == model()["RunningSum4"]  # in order, too
    assert 0 < len(result.stats.notes) <= len(killer.killed)  # the end may come before the note


@pytest.mark.parametrize("victim", VICTIMS)
def test_h2_results_are_exact_when_a_worker_is_killed(execute, victim):
    assert_exact_with(execute, {200: victim})


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3))])
def test_h2_results_are_exact_when_workers_are_killed_repeatedly(execute, seed):
    assert_exact_with(execute, some_faults(seed, 2 * CALLS, 5))


@pytest.mark.parametrize("victim", [*VICTIMS, "several"])
def test_d3_h2_shared_calls_count_once_in_the_state_of_others(execute, victim):
    graph = WorkflowGraph()
    fetched, name, relay = Fetched(), Name(), Relay()
    graph.connect(fetched, "output", name, "input")
    graph.connect(name, "output", relay, "input")
    graph.connect(relay, "output", Count(), "input")
    graph.connect(fetched, "output", Total(), "input")
    killer = Killer({200: victim} if victim in VICTIMS else some_faults(2, 2 * CALLS, 5))
    calls = ({"number": number} for number in range(1, CALLS + 1))
    execute(graph, calls, 3, on_result=killer)
    expected = {"Count3": model()["Count3"], "Total4": {"output": [sum(range(1, CALLS + 1))]}}
    assert_outputs(killer.outputs, expected)
    assert killer.killed


def make_files(folder, seconds, deadly_at=None):
    """Return a graph that writes a file per item of a running sum and of a stateless chain."""
    folder.mkdir()
    graph = WorkflowGraph()
    ticks, name, total = Ticks(seconds), Name(), RunningSum()
    graph.connect(ticks, "output", name, "input")
    graph.connect(ticks, "output", total, "input")
    graph.connect(name, "output", Files(folder, stateful=True), "input")
    graph.connect(total, "output", Files(folder, deadly_at), "input")
    return graph


def test_m5_an_item_has_the_same_id_when_it_is_processed_again(execute, tmp_path):
    run(make_files(tmp_path / "undisturbed", 0.0), inputs=CALLS)
    expected, _ = written_files(tmp_path / "undisturbed")
    assert len(expected) == 2 * CALLS

    killer = Killer(some_faults(3, 2 * CALLS, 3))
    deadly_at = sum(range(1, 51))
    execute(make_files(tmp_path / "killed", 0.002, deadly_at), CALLS, 3, on_result=killer)
    files, lines = written_files(tmp_path / "killed")
    assert files == expected
    assert {*lines} == {f"{name} {content}" for name, content in expected.items()}
    assert len(lines) > 2 * CALLS  # some were written twice


def test_h2_a_root_that_seeks_continues_within_its_call(execute, tmp_path):
    graph = WorkflowGraph()
    graph.connect(Readings(tmp_path, CALLS), "output", Name(), "input")
    killer = Killer({200: "root", 400: "root"})
    execute(graph, 1, 3, on_result=killer)
    assert len(killer.killed) == 2
    assert_outputs(
        killer.outputs, {"Name1": {"output": [("abcde"[n % 5], n) for n in range(1, CALLS + 1)]}}
    )
    began = [int(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert began[0] == 0
    assert 0 < began[1] < began[2] < CALLS
