"""Rules C4, C5 and H2: how a run stops, what it leaves, and what a killed worker does to it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.common import Numbers, Relay, Tag
from d4py_conformance.pes.crashing import Crashing, CrashingCounter, CrashingNumbers
from d4py_conformance.pes.failing import Fails
from d4py_conformance.pes.traced import Traced
from d4py_conformance.suite import Require, RunIsolated, Suite, chain
from dispel4py import WorkflowGraph
from dispel4py.engine.planning.capabilities import Capabilities

#: The item at which a worker is killed, and how many there are.
AT, ITEMS = 20, 40


class StoppingRules(Suite):
    """Stops, crashes, and what they leave behind."""

    def test_c4_a_run_leaves_nothing_behind(self, run_isolated: RunIsolated) -> None:
        isolated = run_isolated(chain(Numbers(), Relay(), Tag("x")), 5)
        answer = isolated.wait()
        assert_outputs(answer.outputs, {"Tag2": {"output": [("x", n) for n in range(1, 6)]}})
        assert isolated.left_behind() == []

    def test_c4_a_run_that_failed_leaves_nothing_behind(self, run_isolated: RunIsolated) -> None:
        isolated = run_isolated(chain(Numbers(), Fails(at=[7]), Relay()), 10**12)
        answer = isolated.wait()
        assert "ProcessingError" in answer.errors, answer
        assert isolated.left_behind() == []

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
    def test_c4_a_signal_stops_everything(
        self, run_isolated: RunIsolated, tmp_path: Path, number: signal.Signals
    ) -> None:
        """The run would go on for ever."""
        isolated = run_isolated(chain(Numbers(), Relay(), Traced(tmp_path / "arrived")), 10**12)
        isolated.wait_for(tmp_path / "arrived")
        isolated.interrupt(number)
        answer = isolated.wait()
        assert answer.status == 130, answer
        assert isolated.left_behind() == []

    @pytest.mark.parametrize("where", ["root", "stateless", "stateful"])
    def test_c5_a_killed_worker(
        self,
        run_isolated: RunIsolated,
        require: Require,
        capabilities: Capabilities,
        tmp_path: Path,
        where: str,
    ) -> None:
        """The results are those of an undisturbed run, or it names the lost process."""
        if where == "stateful":
            require("stateful")
        marker = tmp_path / "killed"
        isolated = run_isolated(crashing_graph(where, marker), ITEMS)
        answer = isolated.wait()
        if "the process that called run()" in answer.message:
            pytest.skip("PEs run in the process that calls run(), so there is no worker to kill")
        assert marker.exists()
        if capabilities.survives_worker_death:
            assert not answer.errors, answer
            assert_outputs(answer.outputs, {"Relay2": {"output": undisturbed_items(where)}})
        else:
            assert "WorkerLostError" in answer.errors, answer
            assert marker.read_text() in answer.message
        assert isolated.left_behind() == []

    @pytest.mark.parametrize("at", [1, AT, ITEMS], ids=["first", "middle", "last"])
    def test_h2_every_item_counts_once_after_a_crash(
        self, run_isolated: RunIsolated, require: Require, tmp_path: Path, at: int
    ) -> None:
        require("stateful", "survives_worker_death")
        graph = chain(
            Numbers(), Relay(), CrashingCounter(tmp_path / "killed", at), Relay(), Relay()
        )
        answer = run_isolated(graph, ITEMS).wait()
        counts = sorted(count for _, count in answer.outputs["Relay4"]["output"])
        assert counts == [*range(1, ITEMS + 1)]


def undisturbed_items(where: str) -> list[object]:
    """Return what `crashing_graph` gives if no worker is killed."""
    numbers = range(1, ITEMS + 1)
    return [(n, n) for n in numbers] if where == "stateful" else [*numbers]


def crashing_graph(where: str, marker: Path) -> WorkflowGraph:
    """Return a chain of three, one of which kills its worker."""
    if where == "root":
        return chain(CrashingNumbers(marker, AT), Relay(), Relay())
    kind = Crashing if where == "stateless" else CrashingCounter
    return chain(Numbers(), kind(marker, AT), Relay())
