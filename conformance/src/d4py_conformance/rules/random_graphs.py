"""Random graphs: each has to give what a model in plain Python gives."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.suite import Execute, Require, Suite
from dispel4py import run
from dispel4py.engine.planning.capabilities import Capabilities

if TYPE_CHECKING:
    from d4py_conformance.expected.random_graphs import RandomGraph

#: For how many seconds a graph that fails is made smaller.
SHRINK_SECONDS = 20.0


class RandomGraphRules(Suite):
    """Graphs that hypothesis draws, the same ones in every session.

    Attributes:
        random_graphs: how many.
    """

    random_graphs = 16

    @pytest.mark.timeout(300)
    def test_c2_random_graphs_give_what_the_model_says(
        self, execute: Execute, capabilities: Capabilities
    ) -> None:
        def agrees(random_graph: RandomGraph) -> None:
            assert_outputs(
                execute(random_graph.graph(), random_graph.calls).outputs, random_graph.expected()
            )

        _for_some(self.random_graphs, capabilities, agrees)

    @pytest.mark.timeout(300)
    def test_m5_ids_are_unique_and_those_of_every_mapping(
        self, execute: Execute, capabilities: Capabilities
    ) -> None:
        def agrees(random_graph: RandomGraph) -> None:
            graph = random_graph.graph(item_ids=True)
            expected = run(graph, "simple", random_graph.calls).outputs
            ids = [found for outputs in expected.values() for found in outputs.get("id", [])]
            assert len(ids) == len(set(ids))
            assert_outputs(execute(graph, random_graph.calls).outputs, expected)

        _for_some(self.random_graphs // 4, capabilities, agrees)

    @pytest.mark.timeout(300)
    def test_m6_random_graphs_have_the_order_of_every_mapping(
        self, execute: Execute, capabilities: Capabilities, require: Require
    ) -> None:
        require("stateful", "ordered")

        def agrees(random_graph: RandomGraph) -> None:
            graph = random_graph.graph(ordered=True)
            outputs = execute(graph, random_graph.calls).outputs
            assert_outputs(outputs, random_graph.expected())
            expected = run(graph, "simple", random_graph.calls).outputs
            for name in random_graph.in_order:
                assert outputs.get(name) == expected.get(name)

        _for_some(self.random_graphs // 2, capabilities, agrees)


def _for_some(count: int, capabilities: Capabilities, check: Callable[[RandomGraph], None]) -> None:
    """Check so many graphs; one that fails is made smaller for a while."""
    # Not at the top: every start of pytest would wait for hypothesis.
    from hypothesis import HealthCheck, Phase, given, settings

    from d4py_conformance.expected.random_graphs import random_graphs

    failed: set[str] = set()
    until = float("inf")

    def check_for_a_while(random_graph: RandomGraph) -> None:
        nonlocal until
        # After a while all others pass unseen, so that the smallest so far is the one to show.
        if monotonic() > until and repr(random_graph) not in failed:
            return
        try:
            check(random_graph)
        except Exception:
            failed.add(repr(random_graph))
            until = min(until, monotonic() + SHRINK_SECONDS)
            raise

    settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        # The explain phase would run a graph that fails a hundred times more.
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )(given(random_graphs(capabilities))(check_for_a_while))()
