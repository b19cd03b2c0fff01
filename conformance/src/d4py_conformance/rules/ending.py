"""Rule I10: what a PE has left open or begun is finished when the run ends, or reported."""

from __future__ import annotations

import gc
import gzip
import os
from pathlib import Path

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.children import ForkedWorkers
from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.pes.ending import (
    Forks,
    Keeps,
    KeepsCsv,
    KeepsDirectly,
    KeepsInModule,
    Submits,
    WorksOn,
)
from d4py_conformance.suite import Execute, RunIsolated, Suite, chain
from dispel4py.errors import ProcessingError

#: A device on which there is never any space.
FULL = Path("/dev/full")
ITEMS = 200


class EndingRules(Suite):
    """Files that are left open, and threads that still run."""

    @pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
    def test_i10_files_that_were_not_closed_hold_all_lines(
        self, execute: Execute, tmp_path: Path
    ) -> None:
        in_a_cycle, directly, by_csv = (tmp_path / name for name in ("cycle", "directly", "csv"))
        for folder in (in_a_cycle, directly, by_csv):
            folder.mkdir()
        graph = chain(Numbers(), Keeps(in_a_cycle), KeepsDirectly(directly), KeepsCsv(by_csv))
        numbers = [*range(1, ITEMS + 1)]
        assert_outputs(execute(graph, ITEMS).outputs, {"KeepsCsv3": {"output": numbers}})
        for folder in (in_a_cycle, directly, by_csv):
            lines = [line for file in folder.iterdir() for line in file.read_text().splitlines()]
            assert sorted(map(int, lines)) == numbers, folder.name
        gc.collect()  # closes what is left in a cycle, of which Python warns

    def test_i10_files_of_a_module_hold_all_lines(
        self, run_isolated: RunIsolated, tmp_path: Path
    ) -> None:
        """Python writes and closes them when a program ends, whatever refers to them."""
        folder = tmp_path / "files"
        folder.mkdir()
        answer = run_isolated(chain(Numbers(), KeepsInModule(folder)), ITEMS).wait()
        assert answer.status == 0, answer
        plain = [line for file in folder.glob("*[!z]") for line in file.read_text().split()]
        packed = b"".join(gzip.decompress(file.read_bytes()) for file in folder.glob("*.gz"))
        numbers = [*range(1, ITEMS + 1)]
        assert sorted(map(int, plain)) == sorted(map(int, packed.split())) == numbers

    @pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
    @pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
    def test_i10_what_cannot_be_written_at_the_end_is_an_error_of_the_pe(
        self, execute: Execute
    ) -> None:
        with pytest.raises(ProcessingError, match="No space left") as caught:
            execute(chain(Numbers(), KeepsDirectly(FULL)), 3)
        assert (caught.value.pe_id, caught.value.phase) == ("KeepsDirectly1", "postprocess")
        del caught
        gc.collect()  # closes the file that the error refers to, of which Python warns

    def test_i10_threads_have_ended_when_the_program_has(
        self, run_isolated: RunIsolated, tmp_path: Path
    ) -> None:
        """Where a run has processes of its own, and where it has not: as in any program."""
        by_thread, by_pool = tmp_path / "thread", tmp_path / "pool"
        for folder in (by_thread, by_pool):
            folder.mkdir()
        answer = run_isolated(chain(Numbers(), WorksOn(by_thread), Submits(by_pool)), 3).wait()
        assert answer.status == 0, answer
        for folder in (by_thread, by_pool):
            names = sorted(path.name for path in folder.iterdir())
            assert names == ["1", "2", "3"], folder.name

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
    def test_i10_a_process_that_a_pe_forks_sends_nothing_of_its_own(self, execute: Execute) -> None:
        """What its parent has written would come twice."""
        result = execute(chain(Numbers(), Forks()), 5)
        assert_outputs(result.outputs, {"Forks1": {"output": [1, 2, 3, 4, 5]}})

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
    def test_i10_a_process_that_a_pe_forks_never_goes_on_as_the_run(self, execute: Execute) -> None:
        """One that comes back from the PE's method would take its parent's items, or report it."""
        result = execute(chain(Numbers(), ForkedWorkers(), Relay()), 8, on_error="skip")
        expected = [(n, (0, 0, 1, 3)[n % 4]) for n in range(1, 9)]
        assert_outputs(result.outputs, {"Relay2": {"output": expected}})
        assert result.failures == []
