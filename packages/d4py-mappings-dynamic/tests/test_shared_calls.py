"""D3: roots whose calls any worker may have; whole runs, in processes, on all four mappings.

Nothing here depends on how fast the machine is: calls wait for each other, or for the results of
all the others.
"""

import os
import signal
import time

import pytest

from d4py_conformance.chaos.faults import (
    VICTIMS,
    Fetched,
    Files,
    Killer,
    some_faults,
    written_files,
)
from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.common import Relay
from d4py_conformance.pes.roots import Fetch, MeetingFetch, TalkingFetch
from d4py_conformance.suite import chain
from d4py_conformance.waiting import wait_until
from dispel4py import run
from dispel4py.errors import ProcessingError, WorkerLostError

WORKERS, CALLS = 4, 300


def dicts(count):
    return [{"number": number} for number in range(count)]


class TakesLong(Fetch):
    """Holds one call until a file is there; the others take a millisecond."""

    def __init__(self, at, gate):
        super().__init__()
        self.at, self.gate = at, gate

    def _process(self, inputs):
        if inputs["number"] == self.at:
            wait_until(self.gate.exists, "the other calls")
        else:
            time.sleep(0.001)
        return inputs["number"]


class DeadlyFetch(Fetched):
    """Kills its own process in one call."""

    def process(self, inputs):
        if inputs["number"] == 50:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().process(inputs)


class Broken(Fetch):
    def _process(self, inputs):
        if inputs["number"] == 700:
            raise LookupError("no such file")
        return inputs["number"]


@pytest.mark.parametrize("make", [len, list, iter])
def test_d3_as_many_calls_are_made_at_once_as_there_are_workers(in_processes, tmp_path, make):
    """Given as many calls as workers, which all wait for each other."""
    inputs = make([{}] * WORKERS)
    result = in_processes(chain(MeetingFetch(tmp_path, WORKERS), Relay()), inputs, WORKERS)
    assert result.outputs["Relay1"]["output"] == ["called"] * WORKERS


@pytest.mark.parametrize("make", [list, iter])
@pytest.mark.parametrize("at", [0, 3, 500, 1000])
def test_d3_a_call_that_takes_long_delays_none_of_a_thousand_others(
    in_processes, tmp_path, at, make
):
    gate = tmp_path / "gate"
    came = []

    def take(pe_id, output, data):
        came.append(data)
        if len(came) == 1000:
            gate.touch()

    root = TakesLong(at, gate)
    in_processes(chain(root, Relay()), make(dicts(1001)), WORKERS, on_result=take)
    assert came[-1] == at
    assert sorted(came) == list(range(1001))


@pytest.fixture(params=["dyn_multi", "dyn_redis"])
def execute(request):
    where = {}
    if request.param == "dyn_redis":
        where["redis_url"] = request.getfixturevalue("server").url
    return lambda graph, inputs, **more: run(graph, request.param, inputs, 3, **where, **more)


@pytest.mark.parametrize("make", [list, iter])
@pytest.mark.parametrize("victim", VICTIMS)
def test_d3_c5_some_worker_is_killed(execute, victim, make):
    killer = Killer({100: victim})
    result = execute(chain(Fetched(), Relay(), Relay()), make(dicts(CALLS)), on_result=killer)
    assert_outputs(killer.outputs, {"Relay2": {"output": [*range(CALLS)]}})
    assert 0 < len(result.stats.notes) <= len(killer.killed)


@pytest.mark.parametrize("seed", range(2))
def test_d3_m5_what_is_done_again_is_done_under_the_same_id(execute, tmp_path, seed):
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    for folder in (calm, killed):
        folder.mkdir()
    run(chain(Fetched(0.0), Relay(), Files(calm)), inputs=dicts(CALLS))
    expected, _ = written_files(calm)
    assert len(expected) == CALLS

    killer = Killer(some_faults(seed, CALLS, 3))
    graph = chain(Fetched(), Relay(), Files(killed, deadly_at=50))
    execute(graph, iter(dicts(CALLS)), on_result=killer)
    files, lines = written_files(killed)
    assert files == expected
    assert {*lines} == {f"{name} {content}" for name, content in expected.items()}
    assert len(lines) > CALLS  # some were written twice


def test_d3_c5_a_call_that_kills_its_worker_each_time_is_named(execute):
    with pytest.raises(WorkerLostError) as caught:
        execute(chain(DeadlyFetch(), Relay()), dicts(CALLS))
    assert "it ran DeadlyFetch0, as 3 workers before it that died" in str(caught.value)


def test_d3_c5_where_errors_are_skipped_that_call_alone_is(execute):
    result = execute(chain(DeadlyFetch(), Relay()), dicts(CALLS), on_error="skip")
    ((pe_id, call),) = {(f.pe_id, str(f.item)) for f in result.failures}
    assert (pe_id, call) == ("DeadlyFetch0", "{'number': 50}")
    outputs = sorted(result.outputs["Relay1"]["output"])
    assert outputs == [n for n in range(CALLS) if n != 50]


def test_d3_c3_an_error_names_the_call(execute):
    with pytest.raises(ProcessingError, match="no such file") as caught:
        execute(chain(Broken(), Relay()), dicts(1000))
    assert (caught.value.pe_id, caught.value.item) == ("Broken0", "{'number': 700}")


def test_d3_each_worker_that_has_calls_has_one_life_cycle(execute):
    outputs = execute(chain(TalkingFetch(), Relay()), 10_000).outputs["Relay1"]["output"]
    ends = [data[1] for data in outputs if data not in ("pre", "called")]
    assert outputs.count("pre") == len(ends) <= 3
    assert outputs.count("called") == sum(ends) == 10_000


def test_d3_a_number_of_calls_of_which_no_memory_could_hold_all(execute):
    """Given 10**12 calls: the run is stopped in the middle, which it could not come to else."""

    class EnoughError(Exception):
        pass

    def take(pe_id, output, data):
        raise EnoughError

    with pytest.raises(EnoughError):
        execute(chain(Fetch(), Relay()), 10**12, on_result=take)
