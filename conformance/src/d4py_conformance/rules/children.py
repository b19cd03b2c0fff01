"""Rules C4 and C5: what PEs have started ends with the run, however long a call of theirs takes."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.children import IN_CALLER, LongCall, StartsPrograms, StopsItsWorker
from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.pes.failing import Fails
from d4py_conformance.subprocesses.isolated_run import IsolatedRun
from d4py_conformance.suite import Execute, RunIsolated, Suite, chain
from d4py_conformance.waiting import wait_until, wait_until_none
from dispel4py.engine.planning.capabilities import Capabilities
from dispel4py.errors import ProcessingError

_needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


class ChildrenRules(Suite):
    """What PEs start, and workers that are stopped."""

    @pytest.fixture
    def frozen_options(self) -> dict[str, Any] | None:
        """Keyword arguments of `dispel4py.run` with which a stopped worker is noticed in seconds.

        None if the mapping has none; override it.
        """
        return None

    @_needs_fork
    @pytest.mark.parametrize("how", ["stopped", "failed", "killed"])
    def test_c4_programs_of_a_pe_end_with_the_run(
        self, run_isolated: RunIsolated, tmp_path: Path, how: str
    ) -> None:
        """Where PEs run in the process that calls run(), they are that one's own."""
        trace = tmp_path / "trace"
        isolated = run_isolated(chain(Numbers(), StartsPrograms(trace, fails=how == "failed")), 1)
        _skip_in_caller(isolated, trace)
        if how == "stopped":
            isolated.interrupt(signal.SIGTERM)
        elif how == "killed":
            isolated.process.kill()
        answer = isolated.wait()
        if how == "failed":
            assert "ProcessingError" in answer.errors, answer
        if how == "killed":  # of which workers take note by themselves
            wait_until_none(isolated.left_behind, "the end of all that was started")
        assert isolated.left_behind() == []

    @pytest.mark.parametrize("by_program", [False, True], ids=["sleep", "program"])
    def test_c4_a_stop_during_a_long_call(
        self, run_isolated: RunIsolated, tmp_path: Path, by_program: bool
    ) -> None:
        """The call would last for an hour."""
        trace = tmp_path / "trace"
        isolated = run_isolated(chain(Numbers(), LongCall(trace, by_program=by_program)), 1)
        isolated.wait_for(trace)
        isolated.interrupt(signal.SIGTERM)
        answer = isolated.wait()
        assert answer.status == 130, answer
        assert isolated.left_behind() == []

    def test_c4_no_thread_is_left(self, execute: Execute) -> None:
        before = set(threading.enumerate())
        execute(chain(Numbers(), Relay()), 5)
        with pytest.raises(ProcessingError):
            execute(chain(Numbers(), Fails(at=[3]), Relay()), 5)
        wait_until(lambda: set(threading.enumerate()) <= before, "the end of all threads")

    @pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system stops no process")
    def test_c5_a_stopped_worker_is_reported(
        self,
        run_isolated: RunIsolated,
        capabilities: Capabilities,
        frozen_options: dict[str, Any] | None,
        tmp_path: Path,
    ) -> None:
        if frozen_options is None:
            pytest.skip(
                "the fixture `frozen_options` gives no options by which stopped workers are noticed"
            )
        marker = tmp_path / "stopped"
        isolated = run_isolated(chain(Numbers(), StopsItsWorker(marker)), 9, **frozen_options)
        answer = isolated.wait()
        if marker.read_text() == IN_CALLER:
            pytest.skip("PEs run in the process that calls run(), so there is no worker to stop")
        if capabilities.survives_worker_death:
            assert not answer.errors, answer
            assert_outputs(answer.outputs, {"StopsItsWorker1": {"output": [*range(1, 10)]}})
        else:
            assert "WorkerLostError" in answer.errors, answer
            assert marker.read_text() in answer.message
            assert "StopsItsWorker1" in answer.message
        assert isolated.left_behind() == []


def _skip_in_caller(isolated: IsolatedRun, trace: Path) -> None:
    isolated.wait_for(trace)
    if trace.read_text() == IN_CALLER:
        pytest.skip("PEs run in the process that calls run(), and so does what they start")
