"""Failures end the run, are reported with their place, and leave no keys or processes."""

import multiprocessing
import os
import signal
import threading

import pytest

from d4py_conformance.subprocesses.programs import failing_run
from dispel4py import GenericPE, SimpleFunctionPE
from dispel4py.errors import GraphError, ItemError, ProcessingError, WorkerLostError


@pytest.fixture
def fails(execute):
    """Runs a graph that fails, and returns the error."""
    return failing_run(execute)


class TestPEs:
    """C3: the first exception stops the run."""

    @pytest.mark.parametrize("at", ["preprocess", 7, "postprocess"])
    @pytest.mark.parametrize("place", ["first", "middle", "last"])
    def test_c3_an_exception_is_reported_with_its_place(self, fails, flows, chain, at, place):
        graph = {
            "first": lambda: chain(flows.FailingNumbers(at), flows.Relay()),
            "middle": lambda: chain(flows.Numbers(), flows.Fails(at), flows.Relay()),
            "last": lambda: chain(flows.Numbers(), flows.Fails(at)),
        }[place]()
        error = fails(graph, ProcessingError)
        assert error.pe_id == ("FailingNumbers0" if place == "first" else "Fails1")
        assert error.phase == (at if isinstance(at, str) else "process")
        assert error.reason == "ValueError: the sensor is broken"
        assert "in fail" in error.user_traceback
        assert 'raise ValueError("the sensor is broken")' in error.user_traceback
        if at == 7:
            assert error.item == ("{}" if place == "first" else "7")

    def test_c3_an_exception_of_a_stateful_instance_is_reported_with_its_place(
        self, fails, flows, chain
    ):
        pe = flows.Fails(7)
        pe.stateful, pe.numprocesses = True, 2
        error = fails(chain(flows.Numbers(), pe), ProcessingError, processes=3)
        assert (error.pe_id, error.item) == ("Fails1", "7")
        assert error.instance in (0, 1)

    def test_c3_an_endless_run_stops_at_an_exception(self, fails, flows, chain):
        graph = chain(flows.Numbers(), flows.Fails(5000), flows.Kept())
        assert fails(graph, ProcessingError, 10**12, processes=4).item == "5000"

    def test_c3_sys_exit_is_treated_as_an_exception(self, fails, flows, chain):
        graph = chain(flows.Numbers(), flows.Fails(7, "sys.exit"))
        assert fails(graph, ProcessingError).reason == "SystemExit: enough"

    def test_c3_skipped_items_are_listed(self, execute, flows, chain):
        graph = chain(flows.Numbers(), flows.Fails(3), flows.Fails(5), flows.Kept())
        result = execute(graph, 10, 3, on_error="skip")
        assert result.outputs["Kept3"]["output"] == [[1, 2, 4, 6, 7, 8, 9, 10]]
        listed = sorted((f.pe_id, f.item, f.error.reason) for f in result.failures)
        assert listed == [
            ("Fails1", 3, "ValueError: the sensor is broken"),
            ("Fails2", 5, "ValueError: the sensor is broken"),
        ]

    def test_c3_a_failing_postprocess_is_skipped(self, execute, flows, chain):
        graph = chain(flows.Numbers(), flows.Fails("postprocess"), flows.Kept())
        result = execute(graph, 5, 1, on_error="skip")
        assert result.outputs["Kept2"]["output"] == [[1, 2, 3, 4, 5]]
        assert [(f.error.phase, f.item) for f in result.failures] == [("postprocess", None)]


class TestWorkers:
    """C5: other workers continue what a lost worker had, unless it was delivered too often."""

    @pytest.mark.parametrize(
        ("how", "cause"),
        [
            ("os._exit(0)", "exit status 0"),
            ("os._exit(3)", "exit status 3"),
            ("kill -9", "killed by SIGKILL"),
            ("a thread", "exit status 7"),
        ],
    )
    @pytest.mark.parametrize("at", ["preprocess", 7, "postprocess"])
    def test_c5_a_pe_that_ends_its_process_each_time_is_named(
        self, fails, flows, chain, how, cause, at
    ):
        graph = chain(flows.Numbers(), flows.Fails(at, how), flows.Relay())
        error = fails(graph, WorkerLostError)
        start = f"worker {error.rank} (process {error.pid}) died: {cause}; it ran Fails1, "
        assert str(error).startswith(start)

    @pytest.mark.parametrize("at", ["preprocess", 7, "postprocess"])
    def test_c5_a_stateful_pe_that_ends_its_process_each_time_is_named(
        self, fails, flows, chain, at
    ):
        pe = flows.Fails(at, "kill -9")
        pe.stateful = True
        error = fails(chain(flows.Numbers(), pe, flows.Relay()), WorkerLostError)
        assert "Fails1 (instance 0)" in str(error)
        assert str(error).endswith("as 3 workers before it that died")

    @pytest.mark.parametrize("processes", [1, 3])
    def test_c5_neither_its_root_nor_pes_downstream_are_named(self, fails, flows, chain, processes):
        pe = flows.Makes(lambda number: number if number != 100 else os.kill(os.getpid(), 9))
        graph = chain(flows.Numbers(), flows.Relay(), pe, flows.Relay())
        error = fails(graph, WorkerLostError, 10**6, processes=processes)
        assert "it ran Makes2, as 3 workers before it that died" in str(error)

    def test_c5_a_root_that_ends_its_process_each_time_is_named(self, fails, flows, chain):
        graph = chain(flows.FailingNumbers(400, "kill -9"), flows.Relay())
        error = fails(graph, WorkerLostError, 10**6, processes=3)
        assert "it ran FailingNumbers0 (instance 0), as 3 workers" in str(error)

    @pytest.mark.parametrize("stateful", [False, True])
    @pytest.mark.parametrize("processes", [1, 3])
    def test_c3_an_item_that_kills_every_worker_is_skipped(
        self, execute, flows, chain, stateful, processes
    ):
        pe = flows.Makes(lambda number: number if number != 7 else os.kill(os.getpid(), 9))
        pe.stateful = stateful
        graph = chain(flows.Numbers(), pe, flows.Kept())
        result = execute(graph, 20, processes, on_error="skip")
        assert result.outputs["Kept2"]["output"] == [[n for n in range(1, 21) if n != 7]]
        (failure,) = result.failures
        assert (failure.pe_id, failure.item, failure.error.phase) == ("Makes1", 7, "process")
        assert "4 workers died of it" in failure.error.reason
        # The first worker may have been lost together with the root that had sent the item.
        assert len(result.stats.notes) in (4, 5)

    def test_c3_several_such_items_and_a_postprocess_are_skipped(self, execute, flows, chain):
        pes = [flows.Fails(at, "kill -9") for at in (3, 5, "postprocess")]
        for pe in pes:  # a replica with a postprocess could not be replaced
            pe.stateful = True
        graph = chain(flows.Numbers(), *pes, flows.Kept())
        result = execute(graph, 10, 3, on_error="skip", redeliveries=1)
        assert result.outputs["Kept4"]["output"] == [[1, 2, 4, 6, 7, 8, 9, 10]]
        listed = sorted((f.pe_id, f.error.phase, f.item) for f in result.failures)
        assert listed == [
            ("Fails1", "process", 3),
            ("Fails2", "process", 5),
            ("Fails3", "postprocess", None),
        ]

    def test_c3_a_call_of_a_root_that_kills_every_worker_is_skipped(self, execute, flows, chain):
        graph = chain(flows.FailingNumbers(4, "kill -9"), flows.Kept())
        result = execute(graph, 6, 2, on_error="skip", redeliveries=1)
        # Its state is that of before the call, so the next call is number 4 again, and so on.
        assert result.outputs["Kept1"]["output"] == [[1, 2, 3]]
        assert [f.pe_id for f in result.failures] == ["FailingNumbers0"] * 3

    @pytest.mark.parametrize("stateful", [False, True])
    def test_c3_a_preprocess_is_not_skipped(self, fails, flows, chain, stateful):
        pe = flows.Fails("preprocess", "kill -9")
        pe.stateful = stateful
        error = fails(chain(flows.Numbers(), pe), WorkerLostError, on_error="skip")
        assert "as 3 workers before it that died" in str(error)

    @pytest.fixture
    def kill(self, tmp_path, wait_until):
        """Kills a worker when a PE hangs, chosen by what is given that one's process number."""
        killers = []

        def kill(choose, number=signal.SIGKILL):
            def wait_and_kill():
                wait_until((tmp_path / "pid").exists, "the item's arrival")
                os.kill(choose(int((tmp_path / "pid").read_text())), number)

            killers.append(threading.Thread(target=wait_and_kill))
            killers[-1].start()

        yield kill
        for killer in killers:
            killer.join()

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    @pytest.mark.parametrize("stateful", [False, True])
    def test_c5_other_workers_continue_when_a_busy_worker_is_killed(
        self, execute, flows, chain, tmp_path, kill, number, stateful
    ):
        kill(lambda busy: busy, number)
        pe = flows.HangsOnce(tmp_path / "pid")
        pe.stateful = stateful
        result = execute(chain(flows.Numbers(), pe), 5, 3)
        assert sorted(result.outputs["HangsOnce1"]["output"]) == [1, 2, 3, 4, 5]
        (note,) = result.stats.notes
        assert f"died: killed by {number.name}; other workers continued its work" in note

    def test_c5_other_workers_continue_when_an_idle_worker_is_killed(
        self, execute, flows, chain, tmp_path, kill
    ):
        # Two workers, and one item, at which one of them hangs; both are killed.
        def idle_first(busy):
            (idle,) = {worker.pid for worker in multiprocessing.active_children()} - {busy}
            os.kill(idle, signal.SIGKILL)
            return busy

        kill(idle_first)
        result = execute(chain(flows.Numbers(), flows.HangsOnce(tmp_path / "pid")), 1, 2)
        assert result.outputs == {"HangsOnce1": {"output": [1]}}
        assert len(result.stats.notes) == 2


class TestTheCaller:
    """Exceptions of the caller's own functions are raised unchanged."""

    @pytest.mark.parametrize("error", [KeyError("mine"), BrokenPipeError(), KeyboardInterrupt()])
    def test_an_error_of_on_result_is_raised(self, execute, flows, chain, error):
        def take(*result):
            raise error

        with pytest.raises(type(error)) as caught:
            execute(chain(flows.Numbers(), flows.Relay()), 1000, on_result=take)
        assert caught.value is error

    def test_an_error_of_on_progress_is_raised(self, execute, flows, chain):
        def fail(stats):
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            execute(chain(flows.Numbers(), flows.Slow(0.1)), 100, on_progress=fail)


class Holder(GenericPE):
    """Holds a value that cannot be pickled."""

    def __init__(self, value):
        super().__init__()
        self._add_output("output")
        self.stream = value


class TestPickling:
    """What cannot be pickled is named, with its attribute or value."""

    def test_a_pe_is_named_with_its_attribute(self, execute, flows, chain):
        graph = chain(Holder(number for number in ()), flows.Relay())
        with pytest.raises(GraphError) as caught:
            execute(graph)
        message = str(caught.value)
        for word in ("Holder0", "'stream'", "generator", "preprocess()"):
            assert word in message

    def test_an_open_file_is_named(self, execute, flows, chain, tmp_path):
        with open(tmp_path / "file", "w") as file, pytest.raises(GraphError) as caught:
            execute(chain(Holder(file), flows.Relay()))
        for word in ("Holder0", "'stream'", "TextIOWrapper"):
            assert word in str(caught.value)

    def test_all_such_pes_are_named_at_once(self, execute, chain):
        first, second = Holder(iter([]) and (n for n in ())), Holder(n for n in ())
        first._add_input("input")
        with pytest.raises(GraphError) as caught:
            execute(chain(second, first))
        assert len(caught.value.problems) == 2

    def test_an_item_is_named_with_its_pe(self, fails, flows, chain):
        graph = chain(flows.Numbers(), flows.Makes(lambda n: (m for m in ())), flows.Relay())
        error = fails(graph, ProcessingError, 1)
        assert error.pe_id == "Makes1"
        assert error.item == "1"
        for word in ("generator", "cannot be handed on"):
            assert word in error.reason

    @pytest.mark.parametrize("stateful", [False, True])
    def test_an_item_that_was_not_copied_is_named(self, fails, flows, chain, stateful):
        relay = flows.Relay()
        relay.stateful = stateful
        graph = chain(flows.Numbers(), flows.Makes(lambda n: {"n": n, "g": (m for m in ())}), relay)
        error = fails(graph, ProcessingError, 1, processes=1, share_items=True)
        # A stateless PE gets the item in the same worker without its being pickled; that fails
        # where the item leaves the worker: as a result at the end, or before if calls take long.
        assert error.pe_id in (["Makes1"] if stateful else ["Makes1", "Relay2"])
        for word in ("generator", "'g'", "'output'", "Relay2"):
            assert word in str(error)

    def test_an_input_is_named(self, fails, flows, chain):
        graph = chain(flows.Relay(), flows.Relay())
        error = fails(graph, ItemError, [{"input": (n for n in ())}])
        for word in ("generator", "'input'"):
            assert word in str(error)

    def test_a_pe_with_a_local_function_is_pickled(self, execute, chain, flows):
        offset = 3
        graph = chain(flows.Numbers(), SimpleFunctionPE(lambda number: number + offset))
        (outputs,) = execute(graph, 3).outputs.values()
        assert sorted(outputs["output"]) == [4, 5, 6]
