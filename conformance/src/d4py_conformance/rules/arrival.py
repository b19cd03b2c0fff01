"""Rules I8, I9 and C7: a PE arrives as it was made, with no file that is not its own, and once."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.arrival import (
    MEAN,
    MEDIAN,
    Asked,
    HoldsFile,
    HoldsStream,
    Lines,
    Options,
    Weight,
    is_mean,
    note_megabytes,
    reports_memory,
)
from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.suite import Execute, Require, RunIsolated, Suite, chain, results
from dispel4py import SimpleFunctionPE
from dispel4py.errors import D4pyError

#: Megabytes of a large PE; what a process may take beside them, for each that runs it.  Python
#: without its lock keeps what it has freed, as of the pickle of a PE.
LARGE, MOST = 64, 1.3 if getattr(sys, "_is_gil_enabled", lambda: True)() else 2.3
#: Lines of a file that a root reads, and the one after which its process dies.
LINES, AT = 300, 150


class ArrivalRules(Suite):
    """How PEs get to where they run."""

    def test_i8_options_are_the_strings_that_they_were(self, execute: Execute) -> None:
        outputs = results(execute(chain(Numbers(), Relay(), Options()), 3), "Options2")
        assert outputs == [[True] * 5] * 3

    def test_i8_so_are_parameters_of_a_function(self, execute: Execute) -> None:
        graph = chain(Numbers(), SimpleFunctionPE(is_mean, {"mode": MEAN}))
        assert results(execute(graph, 3), "PE_is_mean1") == [True] * 3

    def test_i8_so_are_the_inputs_of_a_root(self, execute: Execute) -> None:
        root = Asked()
        outputs = results(execute(chain(root, Relay()), {root: [{"mode": MEDIAN}] * 3}), "Relay1")
        assert outputs == [True] * 3

    @pytest.mark.parametrize("mode", ["r", "w", "a", "r+"])
    def test_i9_an_open_file_is_refused_and_stays_as_it_is(
        self, execute: Execute, tmp_path: Path, mode: str
    ) -> None:
        path = tmp_path / "file"
        path.write_text("first line\n")
        pe = HoldsFile(path, mode)
        path.write_text("first line\nsecond line\n")
        with pe.file, pytest.raises(D4pyError, match=r"HoldsFile1.*'file'"):
            execute(chain(Numbers(), pe), 3)
        assert path.read_text() == "first line\nsecond line\n"

    def test_i9_a_standard_stream_is_that_of_the_process(self, execute: Execute) -> None:
        outputs = results(execute(chain(Numbers(), HoldsStream()), 3), "HoldsStream1")
        assert outputs == [True] * 3

    def test_i9_a_file_that_is_read_goes_on_after_a_crash(
        self, run_isolated: RunIsolated, require: Require, tmp_path: Path
    ) -> None:
        require("survives_worker_death")
        path = tmp_path / "lines"
        path.write_text("".join(f"{n}\n" for n in range(1, LINES + 1)))
        graph = chain(Lines(path, AT, tmp_path / "killed"), Relay())
        answer = run_isolated(graph, LINES).wait()
        assert (tmp_path / "killed").exists()
        assert not answer.errors, answer
        assert_outputs(answer.outputs, {"Relay1": {"output": [*range(1, LINES + 1)]}})

    def test_c7_a_large_pe_is_held_by_those_that_run_it(
        self, run_isolated: RunIsolated, tmp_path: Path
    ) -> None:
        if not reports_memory():
            pytest.skip("this system does not report how much memory processes share")
        small, _ = self._most_of_run(run_isolated, 1, tmp_path / "small")
        large, instances = self._most_of_run(run_isolated, LARGE * 10**6, tmp_path / "large")
        # The PE in the graph is the caller's, and every process that runs it has one.
        assert LARGE / 2 < large - small < LARGE * (1 + MOST * instances)

    def _most_of_run(self, run_isolated: RunIsolated, size: int, seen: Path) -> tuple[float, int]:
        """Megabytes of a run while its results come, at the most, and the number of instances.

        The run is isolated: a process of tests has a large heap, which forked processes share with
        it until they write to it, and how much of it they have written to is chance.
        """
        graph = chain(Numbers(), Relay(), Weight(size), Relay(), Relay())
        note = partial(note_megabytes, seen, os.getpid())
        answer = run_isolated(graph, 5, on_result=note).wait()
        assert not answer.errors, answer
        return max(map(float, seen.read_text().split())), answer.instances.count("Weight2")
