"""Mappings that lose or spoil what PEs print, log and read."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from typing import Any

from d4py_conformance.mutants.sound import Sound
from dispel4py import WorkflowGraph
from dispel4py.result import RunOptions, RunResult

#: Bytes that a pipe takes in one piece.
PIECE = 4096


class _Printer(io.TextIOBase):
    """Standard output, by a function of one's own."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def write(self, text: str, /) -> int:
        self._write(text)
        return len(text)


class KeepsPrintedLines(Sound):
    """Keeps what PEs print until the end, which a run that fails does not reach."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        with redirect_stdout(io.StringIO()) as kept:
            result = super().run(graph, inputs, options)
        print(kept.getvalue(), end="")
        return result


class TearsLines(Sound):
    """Writes long lines in pieces, between which others write."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        with redirect_stdout(_Printer(self.write)):
            return super().run(graph, inputs, options)

    def write(self, text: str) -> None:
        """Print a text."""
        out = sys.__stdout__
        assert out is not None
        pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
        out.write("what others print\n".join(pieces))


class IsImpatientWithReaders(TearsLines):
    """Drops what is not read at once."""

    def write(self, text: str) -> None:
        os.set_blocking(1, False)
        with suppress(BlockingIOError):
            os.write(1, text.encode())
        os.set_blocking(1, True)


class IgnoresAFullDisk(TearsLines):
    """Goes on though nothing can be printed."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            os.write(1, text.encode())


class HidesLogs(Sound):
    """Leaves what PEs log to a logger that follows the levels of the program."""

    def start(self, pe: int, instance: int) -> None:
        super().start(pe, instance)
        logger = logging.getLogger("dispel4py.run.pes")
        runner = self.executor.start(pe, instance)
        runner.pe._run_log = lambda *line: logger.info("%s (rank %s): %s", *line)


class ReadsNothing(Sound):
    """Has an empty standard input, without a word."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        before, sys.stdin = sys.stdin, io.StringIO()
        try:
            return super().run(graph, inputs, options)
        finally:
            sys.stdin = before
