"""Rules C4 and C5: what PEs have started ends with the run, however long a call of theirs takes."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.children import IN_CALLER, LongCall, StartsPrograms, StopsItsWorker
from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.pes.failing import Fails
from d4py_conformance.rules.stopping import LOST_SECONDS, STOP_SECONDS
from d4py_conformance.subprocesses.isolated_run import IsolatedRun
from d4py_conformance.suite import Execute, RunIsolated, Suite, assert_soon, chain
from dispel4py.engine.capabilities import Capabilities
from dispel4py.errors import ProcessingError

#: Seconds in which all is gone after the calling process was killed, and threads after a run.
_KILLED_SECONDS, _THREADS_SECONDS = 5.0, 2.0
#: Seconds after which a run that was asked to stop does not.
_NO_STOP_SECONDS = 10.0

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
        until = time.monotonic() + (_KILLED_SECONDS if how == "killed" else 0.0)
        while (left := isolated.left_behind()) and time.monotonic() < until:
            pass
        assert left == []

    @pytest.mark.parametrize("by_program", [False, True], ids=["sleep", "program"])
    def test_c4_a_stop_during_a_long_call(
        self, run_isolated: RunIsolated, tmp_path: Path, by_program: bool
    ) -> None:
        attempts = iter(range(100))

        def rest() -> float:
            trace = tmp_path / f"trace{next(attempts)}"
            isolated = run_isolated(chain(Numbers(), LongCall(trace, by_program=by_program)), 1)
            isolated.wait_for(trace)
            sent_at = time.monotonic()
            isolated.interrupt(signal.SIGTERM)
            try:
                answer = isolated.wait(_NO_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                pytest.fail(f"it has not stopped within {_NO_STOP_SECONDS:g} s")
            seconds = time.monotonic() - sent_at
            assert answer.status == 130, answer
            assert isolated.left_behind() == []
            return seconds

        assert_soon(rest, STOP_SECONDS)

    def test_c4_no_thread_is_left(self, execute: Execute) -> None:
        before = set(threading.enumerate())
        execute(chain(Numbers(), Relay()), 5)
        with pytest.raises(ProcessingError):
            execute(chain(Numbers(), Fails(at=[3]), Relay()), 5)
        until = time.monotonic() + _THREADS_SECONDS
        while (left := set(threading.enumerate()) - before) and time.monotonic() < until:
            time.sleep(0.01)
        assert not left

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
        answer = isolated.wait(50.0)
        if marker.read_text() == IN_CALLER:
            pytest.skip("PEs run in the process that calls run(), so there is no worker to stop")
        if capabilities.survives_worker_death:
            assert not answer.errors, answer
            assert_outputs(answer.outputs, {"StopsItsWorker1": {"output": [*range(1, 10)]}})
        else:
            assert "WorkerLostError" in answer.errors, answer
            assert marker.read_text() in answer.message
            assert "StopsItsWorker1" in answer.message
            assert answer.ended_at - marker.stat().st_mtime < LOST_SECONDS
        assert isolated.left_behind() == []


def _skip_in_caller(isolated: IsolatedRun, trace: Path) -> None:
    isolated.wait_for(trace)
    if trace.read_text() == IN_CALLER:
        pytest.skip("PEs run in the process that calls run(), and so does what they start")
