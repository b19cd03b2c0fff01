"""Errors end an `mpi` run promptly, are reported, and leave nothing behind."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from fixed_helpers.texts import KEEPS_THE_LOCK

pytest.importorskip("mpi4py")

from d4py_conformance.subprocesses.programs import failing_run
from d4py_conformance.waiting import wait_until_none
from d4py_fixed.mpi.launching.mpiexec import Mpiexec, MpiexecRanks
from dispel4py.errors import (
    GraphError,
    ProcessingError,
    RunError,
    ServiceError,
    UsageError,
    WorkerLostError,
)

WORKFLOW = """
import os
from pathlib import Path
from dispel4py import WorkflowGraph
from fixed_flows import *

class Busy(Relay):
    # Shows that it is at work.
    def _process(self, data):
        Path(f"{self.id}.busy").touch()
        return data

at = os.environ.get("AT", "")
troubles = [FailingNumbers, Fails, Fails]
graph = WorkflowGraph()
pes = [
    trouble(7, os.environ["HOW"]) if at == str(place) else plain()
    for place, (trouble, plain) in enumerate(zip(troubles, [Numbers, Busy, Busy]))
]
if at == "sleep":
    pes[1] = Sleeps(3600, path="Sleeps1.busy")
for one, other in zip(pes, pes[1:]):
    graph.connect(one, "output", other, "input")
"""
IDS = ["FailingNumbers0", "Fails1", "Fails2"]
UNDER = [None, ["-n", 3], ["-n", 5]]


@pytest.fixture
def fails(execute_mpi):
    """Runs a graph that fails, and returns the error."""
    return failing_run(execute_mpi)


@pytest.fixture
def busy(mpi, write, tmp_path, wait_until):
    """Starts a workflow that goes on for ever, and waits until its PEs are at work."""
    write("wf.py", WORKFLOW)

    def start(under, **more):
        for left in tmp_path.glob("*.busy"):
            left.unlink()
        process = mpi.start("wf.py", "-q", "-i", 10**12, "--output", "-", under=under, **more)
        pes = ["Sleeps1"] if more.get("AT") == "sleep" else ["Busy1", "Busy2"]
        wait_until(lambda: all((tmp_path / f"{pe}.busy").exists() for pe in pes), "the run")
        return process

    return start


class TestPEs:
    """C3: the first exception stops the run."""

    @pytest.mark.parametrize("at", ["preprocess", 7, "postprocess"])
    @pytest.mark.parametrize("place", ["first", "middle", "last"])
    def test_c3_an_exception_is_reported_with_its_place(self, fails, flows, chain, at, place):
        graph = {
            "first": lambda: chain(flows.FailingNumbers(at), flows.Relay(), flows.Relay()),
            "middle": lambda: chain(flows.Numbers(), flows.Fails(at), flows.Relay()),
            "last": lambda: chain(flows.Numbers(), flows.Relay(), flows.Fails(at)),
        }[place]()
        error = fails(graph, ProcessingError)
        name = {"first": "FailingNumbers0", "middle": "Fails1", "last": "Fails2"}[place]
        assert (error.pe_id, error.instance) == (name, 0)
        assert error.phase == (at if isinstance(at, str) else "process")
        assert error.reason == "ValueError: the sensor is broken"
        assert 'raise ValueError("the sensor is broken")' in error.user_traceback
        if at == 7:
            assert error.item == ("{}" if place == "first" else "7")

    @pytest.mark.parametrize(
        "number",
        [2, pytest.param(1, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)],
    )
    def test_c3_the_instance_and_the_item_are_reported(self, fails, flows, chain, number):
        pe = flows.Fails(number, "sys.exit")
        pe.numprocesses = 3
        error = fails(chain(flows.Numbers(), pe), ProcessingError)
        assert (error.pe_id, error.instance, error.phase) == ("Fails1", number - 1, "process")
        assert (error.item, error.reason) == (str(number), "SystemExit: enough")

    def test_c3_an_endless_run_stops_at_once(self, fails, flows, chain):
        graph = chain(flows.Numbers(), flows.Fails(5000), flows.Kept())
        assert fails(graph, ProcessingError, 10**12).item == "5000"

    def test_c3_the_end_does_not_wait_for_a_long_call_elsewhere(self, fails, flows, chain):
        graph = chain(flows.Numbers(), flows.Fails(7))
        graph.connect(flows.Numbers(), "output", flows.Sleeps(3600), "input")
        assert fails(graph, ProcessingError).item == "7"

    def test_c3_skipped_items_are_listed(self, execute_mpi, flows, chain):
        graph = chain(flows.Numbers(), flows.Fails(3), flows.Fails(5), flows.Kept())
        result = execute_mpi(graph, 10, on_error="skip")
        assert result.outputs["Kept3"]["output"] == [[1, 2, 4, 6, 7, 8, 9, 10]]
        assert sorted((f.pe_id, f.item) for f in result.failures) == [("Fails1", 3), ("Fails2", 5)]

    @pytest.mark.parametrize("under", UNDER)
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_c3_the_command_shows_the_traceback_whichever_rank_failed(
        self, mpi, write, under, place
    ):
        write("wf.py", WORKFLOW)
        process = mpi.start("wf.py", "-q", "-i", 10**12, under=under, AT=str(place), HOW="raise")
        status, _, err = mpi.end(process)
        assert status == 1
        item = "7" if place else "{}"
        assert (
            f"dispel4py: error: {IDS[place]} (instance 0) failed in process at item {item}:"
            " ValueError: the sensor is broken" in err
        )
        assert err.count('raise ValueError("the sensor is broken")') == 1


def test_c5_the_first_lost_rank_is_named_though_its_loss_was_noticed_last(wait_until):
    says = "echo 'MPI rank 3 ended with exit status 137' >&2; exit 9"
    ranks = MpiexecRanks(Mpiexec(["sh", "-c", says]), 4, {})
    lost = [2]

    def wait(seconds):
        wait_until(ranks.has_ended, "the end of mpiexec")
        lost.append(3)
        return True

    assert ranks.first_lost(lambda: lost, wait) == (3, "killed by SIGKILL")


@pytest.mark.slow
class TestRanks:
    """C5: a lost rank fails the run, and the error names the PEs that it ran."""

    @pytest.mark.parametrize(
        ("how", "cause"),
        [("os._exit(0)", "exit status"), ("os._exit(3)", "exit status 3"), ("kill -9", "SIGKILL")],
    )
    @pytest.mark.parametrize("at", ["preprocess", 7, "postprocess"])
    def test_c5_a_pe_that_ends_its_process_is_reported(self, fails, flows, chain, how, cause, at):
        graph = chain(flows.Numbers(), flows.Fails(at, how), flows.Relay())
        error = fails(graph, WorkerLostError)
        assert error.rank == 1
        assert cause in error.cause
        assert str(error).endswith("; it ran Fails1 (instance 0)")

    @pytest.mark.parametrize("rank", [0, 1, 2, 3])
    def test_c5_each_rank_can_be_killed(self, mpi, execute_mpi, flows, chain, rank):
        graph = chain(flows.Numbers(), flows.Relay(), flows.Relay(), flows.Relay())
        killed = []

        def kill(*result):
            if not killed:
                killed.append(mpi.ranks()[rank])
                os.kill(killed[0], signal.SIGKILL)

        with pytest.raises(WorkerLostError, match="killed by SIGKILL") as caught:
            execute_mpi(graph, 10**12, on_result=kill)
        assert (caught.value.rank, caught.value.pid) == (rank, killed[0])
        name = ["Numbers0", "Relay1", "Relay2", "Relay3"][rank]
        assert str(caught.value).endswith(f"; it ran {name} (instance 0)")

    @pytest.mark.parametrize("rank", [1, 3])
    def test_c5_the_first_lost_rank_is_named_though_all_have_ended_since(
        self, mpi, execute_mpi, flows, chain, rank
    ):
        graph = chain(flows.Numbers(), flows.Relay(), flows.Relay(), flows.Relay())
        killed = []

        def kill(*result):
            if not killed:
                killed.append(mpi.ranks()[rank])
                os.kill(killed[0], signal.SIGKILL)
                wait_until_none(mpi.ranks, "the end of all ranks")

        with pytest.raises(WorkerLostError, match="killed by SIGKILL") as caught:
            execute_mpi(graph, 10**12, on_result=kill)
        assert (caught.value.rank, caught.value.pid) == (rank, killed[0])

    @pytest.mark.parametrize("rank", [0, 1, 2])
    @pytest.mark.parametrize("under", UNDER)
    def test_c5_a_command_ends_whichever_rank_is_killed(self, mpi, busy, under, rank):
        process = busy(under)
        os.kill(mpi.ranks()[rank], signal.SIGKILL)
        status, _, err = mpi.end(process)  # the run has no end of its own
        assert status != 0
        if under is None:
            assert status == 1
            assert f"worker {rank} (process" in err
        mpi.assert_nothing_is_left()

    @pytest.mark.parametrize("place", [0, 1, 2])
    @pytest.mark.parametrize("how", ["os._exit(0)", "os._exit(3)", "kill -9"])
    def test_c5_mpiexec_ends_whichever_rank_exits(self, mpi, write, place, how):
        write("wf.py", WORKFLOW)
        process = mpi.start("wf.py", "-q", "-i", 10**12, under=["-n", 3], AT=str(place), HOW=how)
        status, _, err = mpi.end(process)
        assert status != 0
        assert f"it ran {IDS[place]} (instance 0)" in err

    def test_c5_mpiexec_can_be_killed(self, mpi, execute_mpi, flows, chain):
        killed = []

        def kill(*result):
            if not killed:
                (pid, *_) = [
                    pid
                    for pid, environment in mpi.alive().items()
                    if mpi.PROGRAM in environment[b"command"]
                    and not environment.keys() & set(mpi.RANK)
                ]
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)

        with pytest.raises(RunError, match=r"killed by SIGKILL|cut|ended") as caught:
            execute_mpi(chain(flows.Numbers(), flows.Relay()), 10**12, on_result=kill)
        assert isinstance(caught.value, ServiceError | WorkerLostError)
        for left in Path(mpi.temporary).glob("ompi.*"):  # what Open MPI would have removed
            shutil.rmtree(left)


@pytest.mark.slow
class TestStopping:
    """C4: a signal stops everything, and nothing stays behind."""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.parametrize("at", ["", "sleep"])
    @pytest.mark.parametrize("under", UNDER[:2])
    def test_c4_a_signal_stops_everything(self, mpi, busy, under, at, number):
        process = busy(under, AT=at)
        if number == signal.SIGINT and under is None:
            os.killpg(process.pid, number)  # as the terminal does
        else:
            process.send_signal(number)
        status, _, err = mpi.end(process)
        mpi.assert_nothing_is_left()
        if under is None:
            assert status == 130, err
            assert err == "dispel4py: interrupted\n"
        assert status != 0

    def test_c4_a_signal_stops_ranks_that_are_starting(self, mpi, write, wait_until):
        write("wf.py", WORKFLOW)
        process = mpi.start("wf.py", "-q", "-i", 10**12)
        wait_until(mpi.ranks, "the start of a rank")
        process.send_signal(signal.SIGTERM)
        status, _, _ = mpi.end(process)
        mpi.assert_nothing_is_left()
        assert status == 130

    @pytest.mark.parametrize("at", ["", "sleep"])
    @pytest.mark.parametrize("under", UNDER[:2])
    def test_c4_nothing_is_left_when_the_driver_is_killed(self, mpi, busy, under, at):
        process = busy(under, AT=at)
        if under is None:
            process.kill()
        else:
            (driver,) = [
                pid
                for pid, environment in mpi.alive().items()
                if b"0" in [environment.get(name) for name in mpi.RANK]
                and mpi.PROGRAM not in environment[b"command"]
            ]
            os.kill(driver, signal.SIGKILL)
        mpi.end(process)
        mpi.assert_nothing_is_left()

    def test_c4_nor_where_a_call_keeps_pythons_lock(self, mpi, write, wait_until, tmp_path):
        write("wf.py", KEEPS_THE_LOCK)
        process = mpi.start("wf.py", "-q", "-i", 3)
        wait_until((tmp_path / "ready").exists, "the call")
        process.kill()
        mpi.end(process)
        mpi.assert_nothing_is_left()


class TestTheCaller:
    """What the caller's own functions raise comes out as it is."""

    @pytest.mark.parametrize("error", [KeyError("mine"), KeyboardInterrupt()])
    def test_an_error_of_on_result_comes_out(self, execute_mpi, flows, chain, error):
        def take(*result):
            raise error

        with pytest.raises(type(error)) as caught:
            execute_mpi(chain(flows.Numbers(), flows.Relay()), 10**12, on_result=take)
        assert caught.value is error

    def test_an_item_that_cannot_be_pickled_is_named(self, fails, flows, chain):
        graph = chain(flows.Numbers(), flows.Makes(lambda n: (m for m in ())), flows.Relay())
        error = fails(graph, ProcessingError, 1)
        assert (error.pe_id, error.item) == ("Makes1", "1")
        assert "generator" in error.reason

    def test_an_item_that_was_not_copied_is_named_with_its_receiver(self, fails, flows, chain):
        makes = flows.Makes(lambda n: {"n": n, "g": (m for m in ())})
        graph = chain(makes, flows.Relay())
        error = fails(graph, ProcessingError, [{"input": 1}], share_items=True)
        assert error.pe_id == "Makes0"
        for word in ("generator", "'g'", "input 'input' of Relay1", "preprocess()"):
            assert word in str(error)

    def test_a_pe_that_cannot_be_pickled_starts_nothing(self, mpi, execute_mpi, flows, chain):
        pe = flows.Relay()
        pe.stream = (number for number in ())
        with pytest.raises(GraphError, match="'stream'"):
            execute_mpi(chain(flows.Numbers(), pe))

    def test_a_rank_cannot_start_a_run(self, fails, flows, chain):
        graph = chain(flows.Numbers(), flows.Makes(flows.run_again))
        assert UsageError.__name__ in fails(graph, ProcessingError, 1).reason
