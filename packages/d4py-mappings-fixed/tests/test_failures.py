"""Failures end a run on one machine promptly, are reported with their cause, and leave nothing."""

import multiprocessing
import os
import signal
import threading

import pytest

from d4py_conformance.subprocesses.programs import failing_run
from d4py_conformance.waiting import NEVER
from dispel4py import GenericPE
from dispel4py.errors import GraphError, ItemError, ProcessingError, WorkerLostError


@pytest.fixture
def fails(execute):
    """Runs a graph that fails, and returns the error."""
    return failing_run(execute)


class TestPEs:
    """C3: the first exception stops the run."""

    @pytest.mark.parametrize("processes", [None, 1])
    @pytest.mark.parametrize("at", ["preprocess", 7, "postprocess"])
    @pytest.mark.parametrize("place", ["first", "middle", "last"])
    def test_c3_an_exception_is_reported_with_pe_instance_and_item(
        self, fails, flows, chain, at, place, processes
    ):
        graph = {
            "first": lambda: chain(flows.FailingNumbers(at), flows.Relay(), flows.Relay()),
            "middle": lambda: chain(flows.Numbers(), flows.Fails(at), flows.Relay()),
            "last": lambda: chain(flows.Numbers(), flows.Relay(), flows.Fails(at)),
        }[place]()
        error = fails(graph, ProcessingError, processes=processes)
        name = {"first": "FailingNumbers0", "middle": "Fails1", "last": "Fails2"}[place]
        assert (error.pe_id, error.instance) == (name, 0)
        assert error.phase == (at if isinstance(at, str) else "process")
        assert error.reason == "ValueError: the sensor is broken"
        assert 'raise ValueError("the sensor is broken")' in error.user_traceback
        if at == 7:
            assert error.item == ("{}" if place == "first" else "7")

    @pytest.mark.parametrize("processes", [None, 1])
    def test_c3_a_call_that_only_waits_for_threads_is_ended(self, fails, flows, chain, processes):
        """The PE that fails may be in the same process or in another one."""
        graph = chain(flows.NeverReturns(), flows.Fails(1))
        error = fails(graph, ProcessingError, inputs=1, processes=processes)
        assert (error.pe_id, error.item) == ("Fails1", "1")

    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_c3_the_failed_instance_is_reported(self, fails, flows, chain, number):
        pe = flows.Fails(number)
        pe.numprocesses = 3
        error = fails(chain(flows.Numbers(), pe, flows.Relay()), ProcessingError)
        assert (error.pe_id, error.instance, error.item) == ("Fails1", number - 1, str(number))

    def test_c3_an_endless_run_stops_at_once(self, fails, flows, chain):
        graph = chain(flows.Numbers(), flows.Relay(), flows.Fails(5000), flows.Kept())
        assert fails(graph, ProcessingError, 10**12).item == "5000"

    def test_c3_a_failed_run_does_not_wait_for_long_calls(self, fails, flows, chain):
        graph = chain(flows.Numbers(), flows.Fails(7))
        graph.connect(flows.Numbers(), "output", flows.Sleeps(60), "input")
        assert fails(graph, ProcessingError).item == "7"

    def test_c3_a_failed_run_does_not_wait_for_a_busy_root(self, fails, flows, chain):
        # The driver is sending it an input that is larger than a socket's buffer.
        slow = flows.Sleeps(60)
        graph = chain(slow, flows.Relay())
        fails_later = flows.Fails(7)
        graph.connect(flows.Numbers(), "output", flows.Sleeps(0.05), "input")
        graph.connect(graph.get_contained_objects()[3], "output", fails_later, "input")
        inputs = {slow: ({"input": bytes(5_000_000)} for _ in range(9)), "Numbers2": 20}
        assert fails(graph, ProcessingError, inputs).item == "7"

    @pytest.mark.parametrize(
        ("how", "reason"),
        [
            ("sys.exit", "SystemExit: enough"),
            ("KeyboardInterrupt", "KeyboardInterrupt: no key was pressed"),
        ],
    )
    def test_c3_base_exceptions_are_reported_like_others(self, fails, flows, chain, how, reason):
        graph = chain(flows.Numbers(), flows.Fails(7, how))
        assert fails(graph, ProcessingError).reason == reason

    @pytest.mark.parametrize("processes", [1, 2, None])
    def test_c3_skipped_items_are_listed(self, execute, flows, chain, processes):
        graph = chain(flows.Numbers(), flows.Fails(3), flows.Fails(5), flows.Kept())
        result = execute(graph, 10, processes, on_error="skip")
        assert result.outputs["Kept3"]["output"] == [[1, 2, 4, 6, 7, 8, 9, 10]]
        listed = sorted((f.pe_id, f.item, f.error.reason) for f in result.failures)
        assert listed == [
            ("Fails1", 3, "ValueError: the sensor is broken"),
            ("Fails2", 5, "ValueError: the sensor is broken"),
        ]

    def test_c3_a_failing_postprocess_is_skipped_too(self, execute, flows, chain):
        graph = chain(flows.Numbers(), flows.Fails("postprocess"), flows.Kept())
        result = execute(graph, 5, on_error="skip")
        assert result.outputs["Kept2"]["output"] == [[1, 2, 3, 4, 5]]
        assert [(f.error.phase, f.item) for f in result.failures] == [("postprocess", None)]


class TestRanks:
    """C5: a lost rank fails the run, and the error names its PEs."""

    @pytest.mark.parametrize(
        ("how", "cause"),
        [
            ("os._exit(0)", "exit status 0"),
            ("os._exit(3)", "exit status 3"),
            ("kill -9", "killed by SIGKILL"),
        ],
    )
    @pytest.mark.parametrize("at", ["preprocess", 7, "postprocess"])
    def test_c5_a_pe_that_ends_its_process_is_reported(self, fails, flows, chain, how, cause, at):
        graph = chain(flows.Numbers(), flows.Fails(at, how), flows.Relay())
        error = fails(graph, WorkerLostError)
        assert str(error) == (
            f"worker 1 (process {error.pid}) died: {cause}; it ran Fails1 (instance 0)"
        )

    @pytest.mark.parametrize(
        ("processes", "rank"), [(4, 0), (4, 1), (4, 2), (4, 3), (2, 0), (2, 1), (1, 0)]
    )
    def test_c5_the_loss_of_each_rank_is_reported(self, execute, flows, chain, processes, rank):
        graph = chain(flows.Numbers(), flows.Relay(), flows.Relay(), flows.Relay())
        killed = []

        def kill(*result):
            if not killed:
                workers = multiprocessing.active_children()
                (pid,) = [w.pid for w in workers if w.name == f"d4py-worker-{rank}"]
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)

        with pytest.raises(WorkerLostError, match="killed by SIGKILL") as caught:
            execute(graph, 10**12, processes, on_result=kill)
        ids = ["Numbers0", "Relay1", "Relay2", "Relay3"]
        share = 4 // processes
        ran = ", ".join(f"{pe} (instance 0)" for pe in ids[rank * share : (rank + 1) * share])
        assert str(caught.value).endswith(f"; it ran {ran}")

    def test_c5_the_loss_of_an_idle_rank_is_reported(
        self, execute, flows, chain, tmp_path, wait_until
    ):
        def kill():
            wait_until((tmp_path / "busy").exists, "the item's arrival")
            workers = multiprocessing.active_children()
            (pid,) = [w.pid for w in workers if w.name == "d4py-worker-2"]
            os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        graph = chain(flows.Numbers(), flows.Sleeps(NEVER, path=tmp_path / "busy"), flows.Relay())
        with pytest.raises(WorkerLostError, match=r"it ran Relay2 \(instance 0\)"):
            execute(graph, 1)
        killer.join()

    def test_c5_the_loss_of_a_root_with_unread_inputs_is_reported(self, fails, flows, chain):
        graph = chain(flows.Fails("preprocess", "kill -9"), flows.Relay())
        inputs = [{"input": bytes(50_000_000)}]
        assert "Fails0" in str(fails(graph, WorkerLostError, inputs))


class TestTheCaller:
    """Exceptions of the caller's functions are raised unchanged."""

    @pytest.mark.parametrize("error", [KeyError("mine"), BrokenPipeError(), KeyboardInterrupt()])
    def test_an_exception_of_on_result_is_raised(self, execute, flows, chain, error):
        def take(*result):
            raise error

        with pytest.raises(type(error)) as caught:
            execute(chain(flows.Numbers(), flows.Relay()), 10**12, on_result=take)
        assert caught.value is error

    def test_an_exception_of_on_progress_is_raised(self, execute, flows, chain):
        def look(stats):
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            execute(chain(flows.Numbers(), flows.Relay()), 10**12, on_progress=look)

    def test_an_exception_of_the_inputs_is_raised(self, execute, flows, chain):
        def inputs():
            yield {"input": 1}
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            execute(chain(flows.Relay(), flows.Relay()), inputs())


class Holder(GenericPE):
    """Has an attribute that cannot be pickled."""

    def __init__(self, value):
        super().__init__()
        self._add_output("output")
        self.stream = value


class TestPickling:
    """Objects that cannot be pickled are named, with the attribute or value that is the cause."""

    def test_a_pe_is_named_with_its_attribute(self, execute, flows, chain):
        graph = chain(Holder(number for number in ()), flows.Relay())
        with pytest.raises(GraphError) as caught:
            execute(graph)
        for word in ("Holder0", "'stream'", "generator", "preprocess()"):
            assert word in str(caught.value)

    def test_an_item_is_named_with_its_pe(self, fails, flows, chain):
        graph = chain(flows.Numbers(), flows.Makes(lambda n: (m for m in ())), flows.Relay())
        error = fails(graph, ProcessingError, 1)
        assert (error.pe_id, error.item) == ("Makes1", "1")
        for word in ("generator", "cannot be handed on"):
            assert word in error.reason

    def test_an_item_that_was_not_copied_is_named_with_its_sender_and_receiver(
        self, fails, flows, chain
    ):
        makes = flows.Makes(lambda n: {"n": n, "g": (m for m in ())})
        graph = chain(makes, flows.Relay())
        error = fails(graph, ProcessingError, [{"input": 1}], share_items=True)
        assert (error.pe_id, error.item) == ("Makes0", None)
        for word in ("generator", "'g'", "'output'", "input 'input' of Relay1", "preprocess()"):
            assert word in str(error)

    def test_a_result_that_was_not_copied_is_named_with_its_sender(self, fails, flows, chain):
        makes = flows.Makes(lambda n: [1, (m for m in ())])
        error = fails(chain(flows.Numbers(), makes), ProcessingError, 1, share_items=True)
        assert error.pe_id == "Makes1"
        for word in ("generator", "element 1", "output 'output', for the results"):
            assert word in str(error)

    def test_c3_unpicklable_items_that_were_not_copied_are_skipped(self, execute, flows, chain):
        makes = flows.Makes(lambda n: (m for m in ()) if n == 3 else n)
        for pes, last in [([flows.Relay()], "Relay2"), ([], "Makes1")]:
            graph = chain(flows.Numbers(), makes, *pes)
            result = execute(graph, 5, on_error="skip", share_items=True)
            assert sorted(result.outputs[last]["output"]) == [1, 2, 4, 5]
            (failure,) = result.failures
            assert (failure.pe_id, failure.item) == ("Makes1", None)

    def test_m6_a_skipped_item_leaves_no_gap(self, execute, flows, chain):
        makes = flows.Makes(lambda n: (m for m in ()) if n == 3 else n)
        makes.numprocesses = 2
        ordered = flows.Relay()
        ordered._add_input("input", ordered=True)
        graph = chain(flows.Numbers(), makes, ordered)
        result = execute(graph, 5, on_error="skip", share_items=True)
        assert result.outputs["Relay2"]["output"] == [1, 2, 4, 5]

    def test_c3_a_failure_leaves_out_an_item_that_cannot_be_pickled(self, execute, flows, chain):
        makes = flows.Makes(lambda n: (m for m in ()))
        result = execute(
            chain(flows.Numbers(), makes, flows.Makes(len)),
            *(1, 1),
            on_error="skip",
            share_items=True,
        )
        (failure,) = result.failures
        assert (failure.pe_id, failure.item) == ("Makes2", None)
        assert "generator object" in failure.error.item

    def test_an_input_is_named(self, fails, flows, chain):
        graph = chain(flows.Relay(), flows.Relay())
        error = fails(graph, ItemError, [{"input": (n for n in ())}])
        for word in ("generator", "'input'"):
            assert word in str(error)

    def test_an_item_that_cannot_be_unpickled_is_reported_with_its_sender(
        self, fails, flows, chain
    ):
        graph = chain(flows.Numbers(), flows.Makes(ProcessBound), flows.Relay())
        error = fails(graph, ItemError, 1)
        for word in ("cannot be unpickled", "wrong process", "Makes1 (instance 0)"):
            assert word in str(error)


class ProcessBound:
    """Can be unpickled in its own process only."""

    def __init__(self, number):
        pass

    def __reduce__(self):
        return _unpickle, (os.getpid(),)


def _unpickle(pid):
    if pid != os.getpid():
        raise LookupError("wrong process")
    return ProcessBound(1)
