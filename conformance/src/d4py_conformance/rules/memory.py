"""Rule C6: a fast producer waits for a slow consumer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from d4py_conformance.pes.common import Relay
from d4py_conformance.pes.memory import EnoughError, Gate, LargeLater, Tally
from d4py_conformance.suite import Execute, Require, Suite, chain
from dispel4py import ProcessingError

#: How many items a run has in all; far more than may ever be on their way.
ITEMS = 2_000_000
#: How many items of 1 MiB a run has in all; a mapping that takes them all needs half a gigabyte.
LARGE_ITEMS, MIB = 500, 1 << 20
#: How many small items come before large ones; so many that batches have grown.
SMALL_ITEMS = 20_000


class MemoryRules(Suite):
    """Backpressure."""

    @pytest.mark.parametrize(
        ("calls", "per_call"),
        [pytest.param(ITEMS // 100, 100, id="many-calls"), pytest.param(1, ITEMS, id="one-call")],
    )
    def test_c6_a_fast_producer_waits(
        self, execute: Execute, require: Require, tmp_path: Path, calls: int, per_call: int
    ) -> None:
        require("bounded_memory")
        tally, verdict = tmp_path / "tally", tmp_path / "verdict"
        graph = chain(Tally(tally, per_call), Relay(), Gate(tally, ITEMS, verdict))
        with pytest.raises(ProcessingError, match="EnoughError"):
            execute(graph, calls)
        assert int(verdict.read_text()) < ITEMS, "nothing made the producer wait"

    def test_c6_a_producer_of_large_items_waits(
        self, execute: Execute, require: Require, tmp_path: Path
    ) -> None:
        # So few items would not be held up by a limit on their number.
        require("bounded_memory")
        tally, verdict = tmp_path / "tally", tmp_path / "verdict"
        graph = chain(
            Tally(tally, 1, size=MIB, step=1), Relay(), Gate(tally, LARGE_ITEMS, verdict, step=1)
        )
        with pytest.raises(ProcessingError, match="EnoughError"):
            execute(graph, LARGE_ITEMS)
        assert int(verdict.read_text()) < LARGE_ITEMS, "nothing made the producer wait"

    @pytest.mark.parametrize("small", [0, SMALL_ITEMS], ids=["at-once", "after-small-ones"])
    def test_c6_large_items_that_look_small_make_a_producer_wait(
        self, execute: Execute, require: Require, tmp_path: Path, small: int
    ) -> None:
        # A guess by attributes finds some bytes; a batch planned for small items has room for all.
        require("bounded_memory")
        tally, verdict = tmp_path / "tally", tmp_path / "verdict"
        graph = chain(
            LargeLater(tally, small, MIB),
            Relay(),
            Gate(tally, LARGE_ITEMS, verdict, step=1, lets=int),
        )
        with pytest.raises(ProcessingError, match="EnoughError"):
            execute(graph, small + LARGE_ITEMS)
        assert int(verdict.read_text()) < LARGE_ITEMS, "nothing made the producer wait"

    def test_c6_results_wait_until_they_are_taken(
        self, execute: Execute, require: Require, tmp_path: Path
    ) -> None:
        require("bounded_memory")
        tally, verdict = tmp_path / "tally", tmp_path / "verdict"
        gate = Gate(tally, ITEMS, verdict)

        def take(pe_id: str, output: str, data: Any) -> None:
            gate.process({"input": data})

        with pytest.raises(EnoughError):
            execute(chain(Tally(tally, 100), Relay()), ITEMS // 100, on_result=take)
        assert int(verdict.read_text()) < ITEMS, "nothing made the producer wait"
