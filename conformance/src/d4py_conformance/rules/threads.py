"""Rule I5: threads of a PE may write and log while a call of it lasts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.pes.threads import (
    Doubles,
    Listens,
    LogsInThreads,
    Notes,
    Receives,
    ShutsDownAPool,
    WritesLate,
)
from d4py_conformance.suite import Execute, Require, Suite, chain, results
from d4py_conformance.waiting import wait_until
from dispel4py.errors import RunError

CONNECTIONS, MESSAGES = 4, 1500


class ThreadRules(Suite):
    """Clients of brokers that call back in threads of theirs, thread pools, heartbeats."""

    def test_i5_threads_may_log_in_all_three_phases(
        self,
        execute: Execute,
        require: Require,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        require("lifecycle")
        with caplog.at_level("INFO", logger="dispel4py.run"):
            result = execute(chain(Numbers(), LogsInThreads(), Relay()), 30)
        assert_outputs(result.outputs, {"Relay2": {"output": [*range(1, 31)]}})
        seen = f"{caplog.text}\n{capfd.readouterr().err}"
        for number in range(1, 31):
            for thread in (0, 1):
                assert seen.count(f"<thread {thread} at {number}>") == 1, seen
        prepared = seen.count("<thread in preprocess>")
        assert 0 < prepared == seen.count("<thread in postprocess>")

    def test_i5_what_threads_write_arrives_once_and_in_the_order_of_each(
        self, execute: Execute
    ) -> None:
        graph = chain(Receives(CONNECTIONS, MESSAGES), Relay())
        got = results(execute(graph, 2), "Relay1")
        expected = [(c, n) for c in range(CONNECTIONS) for n in range(MESSAGES) for _ in (1, 2)]
        assert sorted(got) == expected

    def test_i5_threads_of_any_pe_may_write(self, execute: Execute) -> None:
        result = execute(chain(Numbers(), Doubles(), Doubles(), Relay()), 40)
        expected = [number for number in range(1, 41) for _ in range(4)]
        assert_outputs(result.outputs, {"Relay3": {"output": expected}})

    def test_i5_it_goes_on_its_way_while_the_call_lasts(
        self, execute: Execute, tmp_path: Path
    ) -> None:
        result = execute(chain(Listens(tmp_path, 3), Notes(tmp_path), Relay()), 1)
        assert_outputs(result.outputs, {"Relay2": {"output": [0, 1, 2]}})

    def test_i5_a_pool_may_be_shut_down_in_postprocess(
        self, execute: Execute, require: Require
    ) -> None:
        require("stateful", "lifecycle")
        result = execute(chain(Numbers(), ShutsDownAPool(), Relay()), 50)
        assert_outputs(result.outputs, {"Relay2": {"output": [*range(1, 51)]}})

    def test_i5_a_write_between_two_calls_is_kept_or_fails_the_run(
        self, execute: Execute, require: Require, tmp_path: Path
    ) -> None:
        """Never is it lost in silence."""
        require("lifecycle")
        marker = tmp_path / "written"

        def inputs() -> Iterator[dict[str, Any]]:
            yield {}
            wait_until(marker.exists, "the late write")
            yield {}

        message = None
        try:
            outputs = execute(chain(WritesLate(marker), Relay()), inputs()).outputs
        except RunError as error:
            message = str(error)
        if message is None:
            assert_outputs(outputs, {"Relay1": {"output": ["late"]}})
        else:
            assert "WritesLate0 wrote" in message
            assert "thread" in message
