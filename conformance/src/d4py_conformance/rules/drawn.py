"""Random graphs: each has to give what a model in plain Python says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from d4py_conformance.compare import assert_outputs
from d4py_conformance.suite import Execute, Suite
from dispel4py.registry import Capabilities

if TYPE_CHECKING:
    from d4py_conformance.random_graphs import RandomGraph


class DrawnGraphs(Suite):
    """Graphs that hypothesis draws, the same ones in every session.

    Attributes:
        random_graphs: how many.
    """

    random_graphs = 16

    @pytest.mark.timeout(300)
    def test_c2_random_graphs_give_what_the_model_says(
        self, execute: Execute, capabilities: Capabilities
    ) -> None:
        # Not at the top: every start of pytest would wait for hypothesis.
        from hypothesis import HealthCheck, given, settings

        from d4py_conformance.random_graphs import random_graphs

        @settings(
            max_examples=self.random_graphs,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(random_graphs(capabilities))
        def agrees(drawn: RandomGraph) -> None:
            assert_outputs(execute(drawn.graph(), drawn.calls).outputs, drawn.expected())

        agrees()
