"""Rule M7: a PE that gets several items in one call works as with single items."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.batches import (
    BatchNamed,
    ChangesAndFails,
    CountsKeys,
    CrashesInBatch,
    Doubles,
    FailsAt,
    Keyed,
    Named,
    Patient,
    Shortens,
    Sizes,
    Splits,
    TotalsInBatches,
    Wraps,
    Writes,
    WritesAndFails,
)
from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.pes.order import InOrder
from d4py_conformance.suite import Execute, Require, Suite, chain, results
from dispel4py import ProcessingError
from dispel4py.errors import GraphError

CALLS = 200
NUMBERS = range(1, CALLS + 1)
GOOD = [number for number in NUMBERS if number % 10]
BAD = [number for number in NUMBERS if number % 10 == 0]


class BatchRules(Suite):
    """PEs with `_process_batch`."""

    @pytest.mark.parametrize("pe", [Doubles, Patient])
    def test_m7_results_are_those_of_single_items(
        self, execute: Execute, pe: type[Doubles]
    ) -> None:
        outputs = execute(chain(Numbers(), last := pe(), Relay()), CALLS).outputs
        assert last.batch_size
        assert_outputs(outputs, {"Relay2": {"output": [2 * n for n in NUMBERS if n % 3]}})

    def test_m7_no_batch_is_larger_than_batch_size(self, execute: Execute) -> None:
        sizes = results(execute(chain(Numbers(), Relay(), Sizes()), CALLS), "Sizes2")
        assert len(sizes) == CALLS
        assert max(sizes) <= Sizes.batch_size

    def test_m7_a_pe_with_several_outputs_returns_dicts(self, execute: Execute) -> None:
        outputs = execute(chain(Numbers(), Splits()), CALLS).outputs
        assert_outputs(outputs, {"Splits1": {"even": [*NUMBERS[1::2]], "odd": [*NUMBERS[::2]]}})

    def test_m7_what_a_batch_writes_is_sent(self, execute: Execute) -> None:
        outputs = execute(chain(Numbers(), Writes()), CALLS).outputs
        assert_outputs(outputs, {"Writes1": {"output": [*NUMBERS]}})

    def test_m7_every_item_counts_as_a_call(self, execute: Execute) -> None:
        stats = execute(chain(Numbers(), Doubles()), CALLS).stats
        assert stats.items_per_pe()["Doubles1"] == CALLS

    def test_m7_equal_keys_meet(self, execute: Execute, require: Require) -> None:
        require("stateful", "group_by")
        found = results(execute(chain(Numbers(), Keyed(), CountsKeys()), CALLS), "CountsKeys2")
        assert sorted(number for _, number, _ in found) == [*NUMBERS]
        counts = sorted((key, count) for key, _, count in found)
        assert counts == [(key, count) for key in range(5) for count in range(1, CALLS // 5 + 1)]

    def test_m7_ids_are_those_of_single_items(self, execute: Execute) -> None:
        in_batches = execute(chain(Numbers(), BatchNamed(), BatchNamed()), CALLS)
        singly = execute(chain(Numbers(), Named(), Named()), CALLS)
        expected = results(singly, "Named2")
        assert sorted(results(in_batches, "BatchNamed2")) == sorted(expected)

    def test_m7_an_ordered_input_keeps_its_order(self, execute: Execute, require: Require) -> None:
        require("stateful", "ordered")
        flow = chain(Numbers(), Doubles(), InOrder())
        expected = [2 * number for number in NUMBERS if number % 3]
        assert results(execute(flow, CALLS), "InOrder2") == [*enumerate(expected, 1)]

    def test_m7_an_error_is_that_of_the_pe(self, execute: Execute) -> None:
        with pytest.raises(ProcessingError, match=r"FailsAt1 .*: bad \d+0") as raised:
            execute(chain(Numbers(), FailsAt()), CALLS)
        assert "in _process_batch" in raised.value.user_traceback

    def test_m7_of_a_batch_that_fails_only_the_bad_items_are_skipped(
        self, execute: Execute
    ) -> None:
        result = execute(chain(Numbers(), FailsAt()), CALLS, on_error="skip")
        assert sorted(results(result, "FailsAt1")) == GOOD
        assert sorted(failure.item for failure in result.failures) == BAD

    def test_m7_what_a_batch_that_fails_has_written_is_not_sent(self, execute: Execute) -> None:
        result = execute(chain(Numbers(), WritesAndFails()), CALLS, on_error="skip")
        expected = sorted([*GOOD, *(-number for number in GOOD)])
        assert sorted(results(result, "WritesAndFails1")) == expected

    def test_m7_a_batch_that_fails_is_repeated_with_its_items_as_they_were(
        self, execute: Execute
    ) -> None:
        result = execute(chain(Numbers(), Wraps(), ChangesAndFails()), CALLS, on_error="skip")
        expected = [[1000 + number] for number in GOOD]
        assert sorted(results(result, "ChangesAndFails2")) == expected

    def test_m7_another_length_is_an_error_with_both_numbers(self, execute: Execute) -> None:
        with pytest.raises(ProcessingError, match=r"Shortens1 .* batch of (\d+) and returned"):
            execute(chain(Numbers(), Shortens()), CALLS)

    def test_m7_bounds_that_cannot_be_are_refused(self, execute: Execute) -> None:
        pe = Doubles()
        pe.batch_size, pe.batch_seconds = 0, -1
        with pytest.raises(GraphError, match="at least 1") as raised:
            execute(chain(Numbers(), pe), 1)
        assert len(raised.value.problems) == 2

    def test_m7_a_batch_is_not_lost_with_its_worker(
        self, execute: Execute, require: Require, tmp_path: Path
    ) -> None:
        require("survives_worker_death")
        marker = tmp_path / "killed"
        outputs = execute(chain(Numbers(), CrashesInBatch(marker, CALLS // 2)), CALLS).outputs
        assert marker.exists()
        assert_outputs(outputs, {"CrashesInBatch1": {"output": [*NUMBERS]}})

    def test_m7_state_counts_each_item_of_a_batch_once(
        self, execute: Execute, require: Require, tmp_path: Path
    ) -> None:
        require("survives_worker_death", "stateful")
        marker = tmp_path / "killed"
        outputs = execute(chain(Numbers(), TotalsInBatches(marker, CALLS // 2)), CALLS).outputs
        assert marker.exists()
        assert_outputs(outputs, {"TotalsInBatches1": {"output": [*accumulate(NUMBERS)]}})
