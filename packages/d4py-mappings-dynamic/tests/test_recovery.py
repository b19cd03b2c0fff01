"""C5: workers are killed; the results are those of an undisturbed run."""

import multiprocessing
import os
import signal
import threading

import pytest

from d4py_conformance.chaos.faults import (
    VICTIMS,
    Deadly,
    Files,
    Killer,
    Replica,
    Ticks,
    some_faults,
    written_files,
)
from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.common import Relay
from d4py_conformance.waiting import wait_until_none
from dispel4py import WorkflowGraph, run
from dispel4py.errors import WorkerLostError

CALLS = 300


@pytest.fixture(params=["dyn_multi", "dyn_redis"])
def execute(request):
    """Runs a graph on each mapping; no process or thread may be left of it."""
    where = {}
    if request.param == "dyn_redis":
        where["redis_url"] = request.getfixturevalue("server").url

    def execute(graph, inputs=CALLS, processes=3, **options):
        return run(graph, request.param, inputs, processes, **where, **options)

    before = {*threading.enumerate()}
    yield execute
    assert multiprocessing.active_children() == []
    wait_until_none(lambda: {*threading.enumerate()} - before, "the end of all threads")


def chain(*pes):
    graph = WorkflowGraph()
    for i, pe in enumerate(pes[1:]):
        graph.connect(pes[i], "output", pe, "input")
    return graph


def assert_exact_with(execute, faults):
    """Assert that every item comes out once whatever is killed."""
    killer = Killer(faults)
    result = execute(chain(Ticks(), Relay(), Relay()), on_result=killer)
    assert_outputs(killer.outputs, {"Relay2": {"output": [*range(1, CALLS + 1)]}})
    assert 0 < len(result.stats.notes) <= len(killer.killed)  # the end may come before the note


@pytest.mark.parametrize("victim", VICTIMS)
def test_c5_results_are_exact_when_a_worker_is_killed(execute, victim):
    assert_exact_with(execute, {100: victim})


@pytest.mark.parametrize("seed", range(3))
def test_c5_results_are_exact_when_workers_are_killed_repeatedly(execute, seed):
    assert_exact_with(execute, some_faults(seed, CALLS, 4))


def test_d2_the_loss_of_a_replica_with_a_postprocess_fails_the_run(execute):
    killed = []

    def kill(pe_id, output, item):
        # A result of the replica: it is known then that there is one, and in which process.
        if not killed and pe_id == "Replica1":
            killed.append(item)
            os.kill(item, signal.SIGKILL)

    with pytest.raises(WorkerLostError) as caught:
        execute(chain(Ticks(), Replica()), 10**6, on_result=kill)
    assert caught.value.pid == killed[0]
    assert "it ran Replica1, with what its postprocess would have written" in str(caught.value)


def test_c5_a_pe_that_kills_every_worker_is_named(execute):
    with pytest.raises(WorkerLostError) as caught:
        execute(chain(Ticks(), Deadly(50), Relay()), on_result=lambda *result: None)
    assert "it ran Deadly1, as 3 workers before it that died" in str(caught.value)


def test_m5_an_item_has_the_same_id_when_it_is_processed_again(execute, tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for folder in (undisturbed, killed):
        folder.mkdir()
    run(chain(Ticks(0.0), Relay(), Files(undisturbed)), inputs=CALLS)
    expected, _ = written_files(undisturbed)
    assert len(expected) == CALLS

    killer = Killer(some_faults(5, CALLS, 3))
    execute(chain(Ticks(), Relay(), Files(killed, deadly_at=50)), on_result=killer)
    files, lines = written_files(killed)
    assert files == expected
    assert {*lines} == {f"{name} {content}" for name, content in expected.items()}
    assert len(lines) > CALLS  # some were written twice
