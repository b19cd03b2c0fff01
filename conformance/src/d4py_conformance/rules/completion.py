"""Rules C1 to C3: when a run ends, what it gives back, and what an exception does to it."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.common import Clock, Emit, Numbers, Pause, Relay, Sorter, Tag
from d4py_conformance.pes.failing import Fails, FailsOutside, FailsWithTime
from d4py_conformance.pes.lifecycle import Diary, Total
from d4py_conformance.suite import Execute, Require, Suite, assert_soon, chain
from dispel4py import ProcessingError, WorkflowGraph

#: How long a PE may be busy while all others have nothing to do.
PAUSE_SECONDS = 2.0
#: How long a run may take to end after its last item, beside the time that it took to begin.  Much
#: shorter than the pause: no idle time could be set so that a run ends by it and passes both tests.
END_SECONDS = 0.25
#: How long a run may take to stop after an exception, beside the time that it took to come to it.
STOP_SECONDS = 2.0


class CompletionRules(Suite):
    """The end of a run."""

    def test_c1_a_pause_does_not_end_the_run(self, execute: Execute) -> None:
        outputs = execute(chain(Numbers(), Relay(), Pause(PAUSE_SECONDS), Relay()), 1).outputs
        assert_outputs(outputs, {"Relay3": {"output": [1]}})

    def test_c1_the_end_is_known_and_not_waited_for(self, execute: Execute) -> None:
        def rest() -> tuple[float, float]:
            called_at = time.time()
            outputs = execute(chain(Numbers(), Relay(), Clock()), 3).outputs
            ended_at, times = time.time(), [float(at) for at in outputs["Clock2"]["output"]]
            return ended_at - max(times), min(times) - called_at

        assert_soon(rest, END_SECONDS)

    def test_c1_postprocess_waits_for_all_that_is_upstream(
        self, execute: Execute, require: Require
    ) -> None:
        # The total of totals is right only if each was still open when the one before it ended.
        require("stateful", "lifecycle")
        graph = chain(Numbers(), Pause(0.01), Total(), Relay(), Total(), Total())
        assert_outputs(execute(graph, 20).outputs, {"Total5": {"output": [210]}})

    def test_c1_postprocess_waits_for_the_longest_way(
        self, execute: Execute, require: Require
    ) -> None:
        require("stateful", "lifecycle")
        graph = WorkflowGraph()
        numbers, slow, early, last = Numbers(), Pause(0.02), Total(), Total()
        graph.connect(numbers, "output", last, "input")
        graph.connect(numbers, "output", slow, "input")
        graph.connect(slow, "output", early, "input")
        graph.connect(early, "output", last, "input")
        assert_outputs(execute(graph, 10).outputs, {"Total1": {"output": [110]}})

    def test_c2_results_from_several_outputs(self, execute: Execute) -> None:
        graph = WorkflowGraph()
        numbers, sorter, tag = Numbers(), Sorter(), Tag("x")
        graph.connect(numbers, "output", sorter, "input")
        graph.connect(sorter, "all", tag, "input")
        assert_outputs(
            execute(graph, 4).outputs,
            {
                "Sorter1": {"even": [2, 4], "odd": [1, 3]},
                "Tag2": {"output": [("x", n) for n in (1, 1, 2, 2, 3, 3, 4, 4)]},
            },
        )

    def test_c2_every_result_arrives(self, execute: Execute) -> None:
        graph = chain(Emit(range(100)), Relay(), Relay())
        assert_outputs(execute(graph, 50).outputs, {"Relay2": {"output": [*range(100)] * 50}})

    def test_c2_results_can_be_streamed_out(self, execute: Execute) -> None:
        got: dict[str, dict[str, list[Any]]] = {}
        lock = threading.Lock()

        def take(pe_id: str, output: str, data: Any) -> None:
            with lock:
                got.setdefault(pe_id, {}).setdefault(output, []).append(data)

        result = execute(chain(Numbers(), Sorter()), 4, on_result=take)
        assert result.outputs == {}
        assert_outputs(
            got, {"Sorter1": {"all": [1, 1, 2, 2, 3, 3, 4, 4], "odd": [1, 3], "even": [2, 4]}}
        )

    def test_c3_an_exception_stops_the_run(self, execute: Execute) -> None:
        # The root would go on for ever.
        graph = chain(Numbers(), Relay(), Fails(at=[7]), Relay())
        with pytest.raises(ProcessingError) as caught:
            execute(graph, 10**12)
        error = caught.value
        assert (error.pe_id, error.phase) == ("Fails2", "process")
        assert isinstance(error.instance, int)
        assert error.item is not None
        assert "7" in error.item
        assert "the sensor is broken" in error.reason
        assert "in explode" in error.user_traceback
        assert 'raise ValueError("the sensor is broken")' in error.user_traceback
        for word in ("Fails2", "7", "the sensor is broken"):
            assert word in str(error)

    def test_c3_the_run_stops_promptly(self, execute: Execute) -> None:
        def rest() -> tuple[float, float]:
            called_at = time.time()
            with pytest.raises(ProcessingError) as caught:
                execute(chain(Numbers(), Relay(), FailsWithTime(), Relay()), 10**12)
            stopped_at, failed_at = time.time(), float(caught.value.reason.rpartition(" ")[2])
            return stopped_at - failed_at, failed_at - called_at

        assert_soon(rest, STOP_SECONDS)

    @pytest.mark.parametrize("phase", ["preprocess", "postprocess"])
    def test_c3_so_does_one_outside_process(
        self, execute: Execute, require: Require, phase: str
    ) -> None:
        require("lifecycle")
        with pytest.raises(ProcessingError, match="the sensor is broken") as caught:
            execute(chain(Numbers(), FailsOutside(phase), Relay()), 3)
        assert (caught.value.pe_id, caught.value.phase) == ("FailsOutside1", phase)
        assert "in explode" in caught.value.user_traceback

    def test_c3_so_does_one_that_cannot_be_pickled(self, execute: Execute) -> None:
        with pytest.raises(ProcessingError, match=r"the sensor is broken \(code 42\)") as caught:
            execute(chain(Numbers(), Fails(at=[2], stubborn=True), Relay()), 3)
        assert "in explode" in caught.value.user_traceback

    def test_c3_so_does_a_key_that_an_item_lacks(self, execute: Execute, require: Require) -> None:
        require("stateful", "group_by")
        graph = chain(Emit([{"k": 1}, {"other": 2}]), Diary(grouping=["k"], numprocesses=2))
        with pytest.raises(ProcessingError) as caught:
            execute(graph, 1)
        assert caught.value.pe_id == "Emit0"
        for words in ("'k'", "'other'", "input 'input' of Diary1"):
            assert words in str(caught.value)

    def test_c3_skipping_carries_on(self, execute: Execute) -> None:
        graph = chain(Numbers(), Fails(at=[3, 6, 9]), Tag("x"))
        result = execute(graph, 10, on_error="skip")
        assert_outputs(
            result.outputs, {"Tag2": {"output": [("x", n) for n in (1, 2, 4, 5, 7, 8, 10)]}}
        )
        assert sorted(failure.item for failure in result.failures) == [3, 6, 9]
        for failure in result.failures:
            assert failure.pe_id == "Fails1"
            assert "the sensor is broken" in failure.error.reason
            assert "in explode" in failure.error.user_traceback

    def test_c3_a_run_without_failures_lists_none(self, execute: Execute) -> None:
        assert execute(chain(Numbers(), Relay()), 3, on_error="skip").failures == []
