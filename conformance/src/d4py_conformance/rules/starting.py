"""Rules C1 and C5 as far as they depend on how worker processes are started."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.common import Numbers
from d4py_conformance.pes.native_threads import Computes
from d4py_conformance.rules.stopping import ITEMS, crashing_graph
from d4py_conformance.suite import Require, RunIsolated, Suite, chain


class StartingRules(Suite):
    """Programs in which not every way of starting processes will do."""

    @pytest.mark.skipif(sys.platform != "linux", reason="starts a thread as on Linux")
    def test_c1_a_run_starts_beside_native_threads(
        self, run_isolated: RunIsolated, options: dict[str, Any]
    ) -> None:
        if options.get("start_method") == "fork":
            pytest.skip("the options of these tests ask for a fork")
        answer = run_isolated(chain(Numbers(), Computes()), 3).wait()
        assert not answer.errors, answer
        assert_outputs(answer.outputs, {"Computes1": {"output": [1, 4, 9]}})

    @pytest.mark.skipif(sys.platform != "linux", reason="such a script needs workers that fork")
    def test_c5_a_killed_worker_of_a_script_without_a_guard(
        self, run_isolated: RunIsolated, require: Require, tmp_path: Path
    ) -> None:
        """Those that take its place cannot import the script, which would run everything again."""
        require("survives_worker_death")
        marker = tmp_path / "killed"
        isolated = run_isolated(crashing_graph("stateless", marker), ITEMS, guarded=False)
        answer = isolated.wait()
        assert marker.exists()
        assert not answer.errors, answer
        assert_outputs(answer.outputs, {"Relay2": {"output": [*range(1, ITEMS + 1)]}})
        assert isolated.left_behind() == []
