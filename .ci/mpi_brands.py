"""Runs workflows on several MPIs, and writes what each does as a table into docs/mappings.md.

Usage: mpi_brands.py PYTHON…, each the Python of an environment that holds d4py and one MPI.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from d4py_conformance.report import put_into
from d4py_conformance.waiting import wait_until
from d4py_fixed.mpi.launcher_environment import mpiexec_environment

PAGE = Path(__file__).parents[1] / "docs" / "mappings.md"
MARKS = (
    "<!-- behaviour of MPIs: begin; written by `make mpi-table` -->",
    "<!-- behaviour of MPIs: end -->",
)
VERSION = (
    "from d4py_fixed.mpi.library import load_mpi;"
    " name, version = load_mpi().get_vendor(); print(name, '.'.join(map(str, version)))"
)
RANKS, LONG, LIMIT = 3, 8_000_000, 120.0

WORKFLOW = """
import os, sys, time
from pathlib import Path
from dispel4py import IterativePE, ProducerPE, WorkflowGraph

class Numbers(ProducerPE):
    number = 0
    def _process(self, inputs):
        self.number += 1
        return self.number

class Does(IterativePE):
    def _process(self, number):
        if number == 7 or WHAT != "fails":
            exec(os.environ["CODE"])
        return number

class Same(IterativePE):
    def _process(self, number):
        return number

WHAT = os.environ["WHAT"]
graph = WorkflowGraph()
does = Does()
graph.connect(Numbers(), "output", does, "input")
graph.connect(does, "output", Same(), "input")
"""

#: Starts the command with code for the PE in the middle, and the number of items.
Start = Callable[..., "subprocess.Popen[bytes]"]
#: Returns what a cell shows; gets what starts the command, and its folder.
Row = Callable[[Start, Path], str]


class Brand:
    """One MPI, and both ways of starting ranks with it.

    Args:
        python: the interpreter of its environment.
        folder: where workflows and files are.
    """

    def __init__(self, python: Path, folder: Path) -> None:
        self._python, self._folder = python, folder
        self.version = subprocess.check_output([python, "-c", VERSION], text=True).strip()

    def cell(self, row: Row, folder: Path) -> str:
        """Return what a row shows, of the command alone and under an mpiexec of the user."""
        mpiexec = [self._python.with_name("mpiexec"), "-n"]
        alone, under = (row(partial(self._start, by), folder) for by in ([], mpiexec))
        return alone if alone == under else f"{alone}; under mpiexec: {under}"

    def _start(
        self,
        launcher: list[object],
        code: str,
        items: int,
        what: str = "fails",
        ranks: int = RANKS,
        hidden: str = "",
    ) -> subprocess.Popen[bytes]:
        environment = dict(os.environ)
        program = [self._python, "-m", "dispel4py", "mpi", "wf.py", "-q", "-i", items]
        command = [*program, "-n", ranks]
        if launcher:
            # What those have set who work as root, or with more processes than cores.
            environment = mpiexec_environment(os.environ, os.geteuid())
            environment.pop(hidden, None)
            command = [*launcher, ranks, *program]
        return subprocess.Popen(
            [str(word) for word in command],
            cwd=self._folder,
            env={**environment, "CODE": code, "WHAT": what},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )


def ended(process: subprocess.Popen[bytes], given: bytes = b"") -> tuple[int, str, str]:
    """Return exit status, output and error output of a command that ends by itself."""
    try:
        out, err = process.communicate(given, LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, out.decode(), err.decode()


def status_and_name(code: str) -> Row:
    """Return a row: a PE carries out some code at its seventh item."""

    def row(start: Start, folder: Path) -> str:
        status, _, err = ended(start(code, 10**9))
        named = "Does1" in err and ("failed in process at item 7" in err or "it ran Does1" in err)
        return f"{status}, {'PE named' if named else 'PE **not** named'}"

    return row


def interrupted(start: Start, folder: Path) -> str:
    """Ctrl-C, as a terminal sends it, while PEs are at work."""
    busy = folder / "busy"
    busy.unlink(missing_ok=True)
    process = start(f"Path({str(busy)!r}).touch()", 10**9, "interrupted")
    try:
        wait_until(busy.exists, "the run", LIMIT)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    began_at = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    status, _, _ = ended(process)
    return f"{status}, {'within' if time.monotonic() - began_at < 2 else '**after**'} 2 s"


def standard_input(start: Start, folder: Path) -> str:
    """A PE reads standard input, of which there are some bytes."""
    code = "print(repr(os.read(0, 100)), flush=True)"
    status, out, err = ended(start(code, 1, "reads"), b"some bytes")
    return "end of input" if status == 0 and "b''" in out else f"**{status}: {out or err}**"


def long_line(start: Start, folder: Path) -> str:
    """A PE prints one line of 8 MB."""
    status, out, _ = ended(start(f"print('x' * {LONG}, flush=True)", 1, "prints"))
    return "whole" if status == 0 and "x" * LONG + "\n" in out else "**not whole**"


def more_than_cores(start: Start, folder: Path) -> str:
    """More ranks than there are cores, without a setting of the user for that."""
    ranks, setting = (os.cpu_count() or 1) + 3, "PRTE_MCA_rmaps_default_mapping_policy"
    status, out, err = ended(start("", 1, ranks=ranks, hidden=setting))
    if status and "not enough slots" in err:
        return f"{status}, mpiexec wants `--oversubscribe`"
    return "runs" if status == 0 and "[1]" in out else "**does not run**"


ROWS: dict[str, Row] = {
    "a PE raises": status_and_name("raise ValueError"),
    "a PE calls `sys.exit(3)`": status_and_name("sys.exit(3)"),
    "a PE calls `os._exit(3)`": status_and_name("os._exit(3)"),
    "a rank is killed (SIGKILL)": status_and_name("os.kill(os.getpid(), 9)"),
    "Ctrl-C": interrupted,
    "a PE reads standard input": standard_input,
    "a PE prints a line of 8 MB": long_line,
    "more ranks than cores": more_than_cores,
}


def main(pythons: list[str]) -> None:
    """Write the table."""
    with tempfile.TemporaryDirectory(prefix="d4py-") as name:
        folder = Path(name)
        (folder / "wf.py").write_text(WORKFLOW)
        brands = [Brand(Path(python).absolute(), folder) for python in pythons]
        lines = [["", *(brand.version for brand in brands)], ["---"] * (1 + len(brands))]
        for title, row in ROWS.items():
            lines.append([title, *(brand.cell(row, folder) for brand in brands)])
            print(json.dumps(lines[-1]), flush=True)
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    PAGE.write_text(put_into(PAGE.read_text(), table, MARKS))


if __name__ == "__main__":
    main(sys.argv[1:])
