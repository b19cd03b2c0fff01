"""Rules D2 and H1: where roots and stateful instances live, and what stateless replicas keep."""

from __future__ import annotations

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.common import Numbers, PartialSum, PlacedNumbers, Relay, Where
from d4py_conformance.suite import Execute, Require, Suite, chain, results
from dispel4py import WorkflowGraph


class OwnershipRules(Suite):
    """Owners of instances."""

    def test_d2_a_root_runs_once_in_one_place_and_in_order(
        self, execute: Execute, require: Require
    ) -> None:
        require("stateful")
        keeper = Relay()
        keeper.stateful = True
        outputs = results(execute(chain(PlacedNumbers(), keeper), 500), "Relay1")
        assert [number for number, _ in outputs] == [*range(1, 501)]
        assert len({process for _, process in outputs}) == 1

    def test_d2_a_root_is_in_one_place_without_state_too(self, execute: Execute) -> None:
        outputs = results(execute(chain(PlacedNumbers(), Relay()), 500), "Relay1")
        assert sorted(number for number, _ in outputs) == [*range(1, 501)]
        assert len({process for _, process in outputs}) == 1

    def test_d2_what_stateless_replicas_gathered_is_flushed(
        self, execute: Execute, require: Require
    ) -> None:
        require("lifecycle")
        pe = PartialSum()
        pe.numprocesses = 3
        sums = results(execute(chain(Numbers(), Relay(), pe, Relay()), 200), "Relay3")
        assert sum(sums) == 200 * 201 // 2

    def test_h1_a_stateful_instance_has_one_owner(self, execute: Execute, require: Require) -> None:
        require("stateful")
        where = Where()
        where.stateful = True
        graph = WorkflowGraph()
        for _ in range(2):
            graph.connect(Numbers(), "output", where, "input")
        outputs = results(execute(graph, 200), "Where1")
        assert len({process for _, process in outputs}) == 1
        expected = [*range(1, 201)] * 2
        assert_outputs({"": {"": [n for n, _ in outputs]}}, {"": {"": expected}})
