"""What the benchmarks stand on: several things measured by turns, and dispel4py of old beside them.

What else the machine does hits everything that is measured by turns alike, so it is the ratios that
can be trusted.  Figures, spreads and ratios are kept in each benchmark's `extra_info`.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from dispel4py import WorkflowGraph, run

ROUNDS = 5
#: Seconds between two looks at a program's memory.
SAMPLE_SECONDS = 0.01
#: The Python of an environment that holds dispel4py of old, if there is one.
PEER = os.environ.get("D4PY_PEER_PYTHON") or None


class FigureClock:
    """A clock that only measured figures move, for pytest-benchmark to have them as durations."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        return self._now

    def add(self, figure: float, unit: str) -> None:
        """Go on by a figure, or by its reciprocal if it is a rate."""
        self._now += 1 / figure if unit.endswith("/s") else figure


clock = FigureClock()


def by_turns(
    benchmark: Any,
    capsys: Any,
    unit: str,
    ours: Callable[[], float],
    **others: Callable[[], float] | None,
) -> None:
    """Measure several things in turn, round after round, and keep and print what comes out.

    The medians of the rounds' figures and of their ratios count; the first round does not.

    Args:
        benchmark: the fixture of that name.
        capsys: the fixture of that name.
        unit: of what the functions return.
        ours: a function.
        **others: functions by name; None where there is no such thing here.
    """
    figures: dict[str, list[float]] = {"ours": []}

    def measure_ours() -> None:
        figures["ours"].append(ours())
        clock.add(figures["ours"][-1], unit)

    def measure_others() -> None:
        for name, other in others.items():
            if other is not None:
                figures.setdefault(name, []).append(other())

    benchmark.pedantic(measure_ours, setup=measure_others, rounds=ROUNDS, warmup_rounds=1)
    info = benchmark.extra_info
    info["unit"] = unit
    lines = []
    for name, values in figures.items():
        counted = values[1:]
        figure = info[name] = statistics.median(counted)
        info[f"spread of {name}"] = [min(counted), max(counted)]
        lines.append(f"{name:24} {figure:12,.4g} {unit:6}")
        if name != "ours":
            ratios = [one / other for one, other in zip(figures["ours"], values, strict=True)]
            ratio = info[f"ratio to {name}"] = statistics.median(ratios[1:])
            lines[-1] += f" ours / this: {ratio:.3f}"
    with capsys.disabled():
        print(f"\n{benchmark.name}", *lines, sep="\n  ")


def seconds(
    graph: WorkflowGraph, mapping: str, inputs: int, processes: int, **options: Any
) -> float:
    """Return how long a run takes, its processes' start and end included."""
    started_at = time.perf_counter()
    result = run(graph, mapping, inputs, processes, **options)
    took = time.perf_counter() - started_at
    assert max(result.stats.items_per_pe().values()) == inputs
    return took


def command(
    file: Path,
    mapping: str,
    name: str,
    inputs: int,
    processes: int,
    *,
    python: str = sys.executable,
) -> tuple[str, float]:
    """Return what a run of a workflow as a program of its own prints, and when it ended."""
    ended = subprocess.run(
        _program(file, mapping, name, inputs, processes, python),
        env={**os.environ, "D4PY_BENCH_PRINT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout + ended.stderr, time.monotonic()


def _program(
    file: Path, mapping: str, name: str, inputs: int, processes: int, python: str = sys.executable
) -> list[str]:
    options = ["-a", name, "-i", str(inputs)]
    launcher: list[str] = []
    if mapping == "mpi" and python == PEER:  # which does not start its ranks by itself
        mpiexec = str(Path(python).with_name("mpiexec"))
        launcher = [mpiexec, "--oversubscribe", "-n", str(processes)]
        options += ["--num_processes", str(processes)]
    else:
        options += ["-n", str(processes)]
    return [*launcher, python, "-m", "dispel4py.new.processor", mapping, str(file), *options]


def peak_memory(
    file: Path,
    mapping: str,
    name: str,
    inputs: int,
    processes: int,
    *,
    python: str = sys.executable,
) -> float:
    """Return the peak memory of a run of a workflow as a program of its own, in MiB."""
    return peak_of(_program(file, mapping, name, inputs, processes, python))


def largest_memory(*arguments: Any, **options: Any) -> float:
    """Return the most memory that any one process of such a run has, in MiB; see `peak_memory`."""
    return peak_of(_program(*arguments, **options), together=max)


def peak_of(program: list[str], together: Callable[[Iterable[int]], int] = sum) -> float:
    """Return the same of any program: what it and all that it started have together.

    What several processes share counts once, where the system reports it.
    """
    peak = 0
    with tempfile.TemporaryFile() as stderr:
        running = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=stderr)
        tree = psutil.Process(running.pid)
        while running.poll() is None:
            peak = max(peak, together(map(_memory, _tree(tree))))
            time.sleep(SAMPLE_SECONDS)
        stderr.seek(0)
        assert running.returncode == 0, stderr.read().decode(errors="replace")
    return peak / (1 << 20)


def _tree(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def _memory(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
    except psutil.Error:  # it has ended
        return 0
    return int(getattr(memory, "pss", memory.uss))


def elapsed(*arguments: Any, **options: Any) -> float:
    """Return how long a run takes by its own account; see `command`."""
    printed, _ = command(*arguments, **options)
    found = re.findall(r"ELAPSED TIME: ([\d.]+)", printed)  # of each rank, with some mappings
    assert found, printed
    return max(map(float, found))


def reported(printed: str) -> list[float]:
    """Return the numbers that a PE has printed."""
    found = re.search(r"REPORT ([-\d. e]+)", printed)
    assert found is not None, printed
    return [float(word) for word in found[1].split()]
