"""Rule C3: which exceptions are a PE's, what of them reaches the caller, and what is skipped."""

from __future__ import annotations

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.common import Numbers, Tag
from d4py_conformance.pes.failing import Cancels, DetectorError, Fails, Matches, Measures
from d4py_conformance.suite import Execute, Suite, chain
from dispel4py import Failure, GenericPE, ProcessingError, WorkflowGraph

#: What comes out of `failing` where the item at which it fails is skipped.
_OTHERS = {"Tag2": {"output": [("x", n) for n in (1, 2, 4, 5)]}}


def failing(pe: GenericPE) -> WorkflowGraph:
    """Return a graph with a PE that fails at 3, between two others."""
    return chain(Numbers(), pe, Tag("x"))


class ErrorRules(Suite):
    """Exceptions of any kind."""

    def test_c3_an_exception_of_any_kind_is_the_pes(self, execute: Execute) -> None:
        with pytest.raises(ProcessingError) as caught:
            execute(failing(Cancels()), 10)
        error = caught.value
        assert (error.pe_id, error.phase, error.item) == ("Cancels1", "process", "3")
        assert "CancelledError: the request was cancelled" in error.reason
        assert "in stop" in error.user_traceback

        result = execute(failing(Cancels()), 5, on_error="skip")
        assert_outputs(result.outputs, _OTHERS)
        assert [failure.item for failure in result.failures] == [3]

    def test_c3_the_cause_is_carried(self, execute: Execute) -> None:
        with pytest.raises(ProcessingError) as caught:
            execute(failing(Measures()), 10)
        _assert_caused_by_detector(caught.value)

        (failure,) = execute(failing(Measures()), 5, on_error="skip").failures
        _assert_caused_by_detector(failure.error)

    def test_c3_an_item_that_cannot_be_carried_is_skipped(self, execute: Execute) -> None:
        result = execute(failing(Matches()), 5, on_error="skip")
        assert_outputs(result.outputs, _OTHERS)
        (failure,) = result.failures
        assert (failure.pe_id, failure.item) == ("Matches1", 3)
        for word in ("re.Match", "'output'", "input 'input' of Tag2"):
            assert word in failure.error.reason

    def test_c3_all_failures_are_counted_and_handed_out(self, execute: Execute) -> None:
        got: list[Failure] = []
        result = execute(
            chain(Numbers(), Fails(at=[3, 6, 9])), 10, on_error="skip", on_failure=got.append
        )
        assert result.failures == []
        assert sorted(failure.item for failure in got) == [3, 6, 9]
        (count,) = result.failure_counts
        assert (count.pe_id, count.phase, count.exception_type) == (
            *("Fails1", "process", "ValueError"),
        )
        assert count.failures == 3


def _assert_caused_by_detector(error: ProcessingError) -> None:
    cause = error.__cause__
    assert type(cause) is DetectorError
    assert str(cause) == "channel 7 is at 2.5 V"
    assert (cause.channel, cause.voltage) == (7, 2.5)
    assert cause.__notes__ == ["measured at night"]
    assert type(cause.__cause__) is KeyError
