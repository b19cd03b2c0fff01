"""Rule I12: what a PE sets for itself does not reach other PEs."""

from __future__ import annotations

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.contexts import WRITTEN, Await, Round, Seventh, WriteInLoop
from d4py_conformance.suite import Execute, Suite, chain


class ContextRules(Suite):
    """Context variables and event loops of PEs."""

    def test_i12_the_precision_that_a_pe_computes_with_is_its_own(self, execute: Execute) -> None:
        outputs = execute(chain(Round(), Seventh()), 1).outputs
        expected = ["0.1428571428571428571428571429"] * WRITTEN
        assert_outputs(outputs, {"Seventh1": {"output": expected}})

    def test_i12_pes_with_event_loops_may_follow_each_other(self, execute: Execute) -> None:
        outputs = execute(chain(WriteInLoop(), Await(), Await()), 1).outputs
        assert_outputs(outputs, {"Await2": {"output": [*range(1, WRITTEN + 1)]}})
