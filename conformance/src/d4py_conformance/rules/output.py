"""Rules C2, C3, I4 and I11: what PEs print and log arrives whole, and what they may read."""

from __future__ import annotations

import logging
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from d4py_conformance.pes.common import Identity, Numbers, Relay
from d4py_conformance.pes.printing import Prints, ReadsInput, printed
from d4py_conformance.subprocesses.isolated_run import Answer, IsolatedRun
from d4py_conformance.suite import Execute, RunIsolated, Suite, chain, results

#: A device on which there is never any space.
FULL = Path("/dev/full")
#: Lengths of lines; some are longer than what a pipe takes in one piece.
LENGTHS = (10, 79, 5000, 20_000)
ITEMS = 40
#: Seconds that a slow reader lets pass, and lines that are more than a pipe holds.
PAUSE_SECONDS, MANY = 1.0, 2000


class OutputRules(Suite):
    """Standard output, standard error and standard input."""

    def test_c3_lines_printed_before_an_error_arrive(self, run_isolated: RunIsolated) -> None:
        """Also if they do not end a block, and another process is the one that fails."""
        graph = chain(Numbers(), Prints(), Prints(fails_at=20), Relay())
        answer = run_isolated(graph, ITEMS).wait()
        assert "ProcessingError" in answer.errors, answer
        arrived = answer.stdout.splitlines().count(printed(20))
        if arrived != 2:
            _skip_if_not_printed_here(run_isolated)
        assert arrived == 2, answer

    def test_c2_lines_are_whole(self, run_isolated: RunIsolated) -> None:
        graph = chain(Numbers(), Prints(LENGTHS, instances=3), Prints(LENGTHS, instances=2))
        lines, answer = _read(lambda pipe: run_isolated(graph, ITEMS, stdout=pipe))
        assert answer.status == 0, answer
        if not lines:
            _skip_if_not_printed_here(run_isolated)
        expected = [printed(n, LENGTHS) for n in range(1, ITEMS + 1)] * 2
        wrong = [line[:100] for line in lines if line not in expected]
        assert not wrong
        assert sorted(lines) == sorted(expected)

    def test_c2_a_slow_reader_gets_all_lines(self, run_isolated: RunIsolated) -> None:
        graph = chain(Numbers(), Prints((79,)))
        lines, answer = _read(lambda pipe: run_isolated(graph, MANY, stdout=pipe), PAUSE_SECONDS)
        assert answer.status == 0, answer
        if not lines:
            _skip_if_not_printed_here(run_isolated)
        assert sorted(lines) == sorted(printed(n, (79,)) for n in range(1, MANY + 1))

    @pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
    def test_c3_what_cannot_be_printed_is_an_error(self, run_isolated: RunIsolated) -> None:
        with FULL.open("w") as full:
            answer = run_isolated(chain(Numbers(), Prints()), 3, stdout=full.fileno()).wait()
        if not answer.errors:
            _skip_if_not_printed_here(run_isolated)
        assert answer.status != 0, answer
        assert "No space left" in answer.message, answer

    def test_i4_logs_are_shown_whatever_a_script_does_to_logging(
        self,
        execute: Execute,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        with _logging_for_other_things():
            outputs = results(execute(chain(Numbers(), Relay(), Identity()), 5), "Identity2")
        assert len(outputs) == 5
        seen = f"{caplog.text}\n{capfd.readouterr().err}"
        for n in range(1, 6):
            assert sum(f"at {n}" in line for line in seen.splitlines()) == 1, seen

    def test_i11_standard_input_is_read_or_empty_with_a_warning(
        self, run_isolated: RunIsolated
    ) -> None:
        """It is read where PEs run in the process that was asked for the run."""
        answer = run_isolated(chain(ReadsInput(), Relay()), 1, stdin="a\nb\n").wait()
        assert answer.status == 0, answer
        lines = answer.outputs.get("Relay1", {}).get("output", [])
        if sorted(lines) == ["a", "b"]:  # instances may share the second stage
            return
        assert lines == []
        warnings = [line for line in answer.stderr.splitlines() if "standard input" in line]
        if not warnings:
            _skip_if_not_printed_here(run_isolated)
        assert len(warnings) == 1, answer
        assert "ReadsInput0" in warnings[0]


def _read(start: Callable[[int], IsolatedRun], pause: float = 0.0) -> tuple[list[str], Answer]:
    """Return the lines that a run prints to a pipe, and how it ends.

    Args:
        start: starts it, given the end of the pipe to print to.
        pause: seconds for which nothing is read once there is something.
    """
    reader, writer = os.pipe()
    with open(reader, encoding="utf-8", errors="replace") as pipe:
        try:
            isolated = start(writer)
        finally:
            os.close(writer)
        select.select([reader], [], [])
        time.sleep(pause)
        lines = pipe.read().splitlines()
    return lines, isolated.wait()


def _skip_if_not_printed_here(run_isolated: RunIsolated) -> None:
    """Skip a test where workers are no children of the run, and print to a place of their own."""
    if printed(1) not in run_isolated(chain(Numbers(), Prints()), 1).wait().stdout.splitlines():
        pytest.skip("what PEs print does not come to where the run was asked for")


@contextmanager
def _logging_for_other_things() -> Iterator[None]:
    """Logging as programs set it up: for severe things only, and other loggers disabled."""
    root, ours = logging.getLogger(), logging.getLogger("dispel4py.run")
    before = root.level, ours.disabled
    root.setLevel(logging.CRITICAL)
    ours.disabled = True
    try:
        yield
    finally:
        root.setLevel(before[0])
        ours.disabled = before[1]
