"""Runs the programs of a row of ``make bench``, and finds those that cannot run here.

Beside the seconds, each run has its CPU time: that of the program and of all that it has waited
for.  On a busy machine it says more.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

from d4py_conformance.bench.rows import BEFORE, HERE, PEERS, Row, Side

#: Longest time of a program, in seconds.
LIMIT = 900.0
#: Settings of Ray: no tokens, and time to start on a busy machine.
_RAY = {"RAY_AUTH_MODE": "disabled", "RAY_raylet_start_wait_time_s": "120"}
#: Without these, the mpiexec of Open MPI refuses to run as root, as which containers run.
_AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
_PROGRAMS = Path(__file__).with_name("programs")


class Measured(NamedTuple):
    """What one run of a program has shown.

    Attributes:
        seconds: the figure.
        cpu_seconds: user and system time of its processes.
        result: what it has computed; None if it does not say.
        notes: other figures, by name.
    """

    seconds: float
    cpu_seconds: float
    result: Any
    notes: Mapping[str, float]


def environments() -> dict[str, Path]:
    """Return the folders of programs of the environments; one need not exist.

    D4PY_BENCH_BEFORE and D4PY_BENCH_PEERS name the environments beside that of this process.
    """
    given = {name: os.environ.get(f"D4PY_BENCH_{name.upper()}") for name in (BEFORE, PEERS)}
    folders = {name: Path(folder, "bin") for name, folder in given.items() if folder}
    return {HERE: Path(sys.executable).parent, **folders}


class RowRunner:
    """Runs the programs of a row, and keeps what they have shown.

    Args:
        row: the row.
        size: of the work.

    Attributes:
        present: names of the sides that can run.
        missing: the others → the reason.
        measured: name of a side → its runs.
    """

    def __init__(self, row: Row, size: int) -> None:
        self._row = row
        self._size = size
        reasons = {name: why_missing(side, row.tiny) for name, side in row.sides.items()}
        self.present = [name for name, reason in reasons.items() if reason is None]
        self.missing = {name: reason for name, reason in reasons.items() if reason is not None}
        self.measured: dict[str, list[Measured]] = {name: [] for name in self.present}

    def run(self, name: str) -> float:
        """Run a side once, and return its figure.

        Raises:
            AssertionError: it failed, or has computed something else than another side.
        """
        measured = run_program(self._row.sides[name], self._size, whole=self._row.whole)
        self.measured[name].append(measured)
        results = [run.result for runs in self.measured.values() for run in runs]
        found = {json.dumps(result) for result in results if result is not None}
        assert len(found) <= 1, f"{self._row.name}: sides differ: {found}"
        return measured.seconds

    def details(self) -> dict[str, Any]:
        """Return medians of CPU times and notes without the first runs, and what is missing."""
        details: dict[str, Any] = {"what": self._row.what, "missing": self.missing}
        for name, runs in self.measured.items():
            counted = runs[1:] or runs
            details[f"cpu of {name}"] = median(run.cpu_seconds for run in counted)
            for note in counted[0].notes:
                details[f"{note} of {name}"] = median(run.notes[note] for run in counted)
        return details


def run_program(side: Side, size: int, *, whole: bool) -> Measured:
    """Run a program.

    Args:
        side: the program.
        size: of the work.
        whole: measure the whole command; else the program reports its figure.

    Raises:
        AssertionError: it failed.
        subprocess.TimeoutExpired: it took too long.
    """
    folder = environments()[side.environment]
    command = _command(side, folder, size)
    cpu_before, started_at = _cpu_seconds(), perf_counter()
    ended = _run(command, folder)
    seconds, cpu_seconds = perf_counter() - started_at, _cpu_seconds() - cpu_before
    assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}{ended.stderr}"
    if whole:
        return Measured(seconds, cpu_seconds, None, {})
    reported = json.loads(ended.stdout.splitlines()[-1])
    return Measured(reported["seconds"], cpu_seconds, reported["result"], reported["notes"])


@cache
def why_missing(side: Side, tiny: int) -> str | None:
    """Return why a program cannot run here; None if it can.

    Args:
        side: the program; one of another library is tried.
        tiny: size of the work for that.
    """
    folder = environments().get(side.environment)
    if folder is None or not (folder / "python").exists():
        return f"there is no environment {side.environment!r}"
    found = _run([str(folder / "python"), "-c", f"import {side.library}"], folder)
    if found.returncode == 0 and side.environment == PEERS:
        found = _run(_command(side, folder, tiny), folder)
    return None if found.returncode == 0 else found.stderr.rstrip().splitlines()[-1]


def _command(side: Side, folder: Path, size: int) -> list[str]:
    return [part.format(bin=folder, programs=_PROGRAMS, size=size) for part in side.command]


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in the environment with that folder of programs."""
    path = os.pathsep.join([str(folder), os.environ.get("PATH", os.defpath)])
    environ = {**os.environ, "PATH": path, **_RAY, **(_AS_ROOT if os.geteuid() == 0 else {})}
    return subprocess.run(
        command, check=False, env=environ, capture_output=True, text=True, timeout=LIMIT
    )


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
