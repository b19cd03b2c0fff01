"""Benchmarks as a table on the terminal, a page in Markdown and a picture.

They read what pytest-benchmark has kept as JSON; the figures are those that
`d4py_conformance.bench.measure` puts into each benchmark's `extra_info`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dispel4py.errors import OptionError

_RATIO, _SPREAD = "ratio to ", "spread of "


@dataclass(frozen=True)
class Figure:
    """What one benchmark has measured.

    Attributes:
        name: the benchmark.
        group: what it measures.
        unit: of the figures.
        ours: median over its rounds.
        spread: least and most of these.
        ratios: name of something else → median of the ratios of ours to it.
        cpu_seconds: median of the CPU time of ours; None if it was not measured.
        missing: what could not be measured.
    """

    name: str
    group: str
    unit: str
    ours: float
    spread: tuple[float, float]
    ratios: dict[str, float]
    cpu_seconds: float | None = None
    missing: tuple[str, ...] = ()

    @property
    def described_ratios(self) -> str:
        """The ratios in words."""
        return ", ".join(f"{name} {_short(ratio)}" for name, ratio in self.ratios.items())

    @property
    def noise(self) -> float:
        """Range of the rounds, as a part of the median."""
        return (self.spread[1] - self.spread[0]) / self.ours if self.ours else 0.0


def read_figures(file: str) -> list[Figure]:
    """Return what a session of benchmarks has measured.

    Raises:
        OptionError: the file is not there, or is no such thing.
    """
    try:
        kept = json.loads(Path(file).read_text(encoding="utf-8"))
        benchmarks: list[dict[str, Any]] = kept["benchmarks"]
        return [_figure(one) for one in benchmarks if "ours" in one["extra_info"]]
    except OSError as error:
        raise OptionError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise OptionError(f"{file} is not what --benchmark-json has written: {error!r}") from error


def print_figures(figures: Iterable[Figure]) -> None:
    """Print what was measured, a line per benchmark."""
    rows = []
    for figure in figures:
        ratios = figure.described_ratios
        ratios += "".join(f", {name} missing" for name in figure.missing)
        value = f"{_short(figure.ours)} {figure.unit}"
        rows.append((figure.group, figure.name, value, f"±{figure.noise / 2:.0%}", ratios))
    _print(("what", "benchmark", "median", "spread", "ratio of ours to"), rows)


def write_markdown(file: str, destination: str) -> None:
    """Write a session as a page in Markdown: the machine, and a table of all benchmarks.

    Raises:
        OptionError: a file cannot be read or written.
    """
    figures = read_figures(file)
    lines = [
        _origin(json.loads(Path(file).read_text(encoding="utf-8"))),
        "",
        "| benchmark | ours | spread | CPU | ours / other, by time or rate | missing |",
        "|---|---:|---:|---:|---|---|",
    ]
    for figure in figures:
        cpu = "" if figure.cpu_seconds is None else f"{_short(figure.cpu_seconds)} s"
        cells = [figure.name, f"{_short(figure.ours)} {figure.unit}", f"±{figure.noise / 2:.0%}"]
        cells += [cpu, figure.described_ratios, ", ".join(figure.missing)]
        lines.append(f"| {' | '.join(cells)} |")
    try:
        Path(destination).write_text("\n".join([*lines, ""]), encoding="utf-8")
    except OSError as error:
        raise OptionError(f"cannot write {destination}: {error.strerror}") from error


def _origin(session: dict[str, Any]) -> str:
    """Return what a session was measured on, and when."""
    machine, commit = session.get("machine_info", {}), session.get("commit_info", {})
    cpu = machine.get("cpu", {})
    parts = [
        f"{cpu.get('count', '?')} cores ({cpu.get('brand_raw', 'unknown')})",
        f"{machine.get('system', '')} {machine.get('release', '')}".strip(),
        f"Python {machine.get('python_version', '?')}",
        f"commit {str(commit.get('id', '?'))[:7]}",
        str(session.get("datetime", ""))[:10],
    ]
    return ", ".join(parts)


def draw_figures(figures: Iterable[Figure], file: str) -> None:
    """Draw the ratios to everything that was measured beside.

    Raises:
        OptionError: matplotlib is missing, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure as Picture
    except ImportError as error:
        raise OptionError(
            "a picture needs matplotlib: pip install 'd4py-conformance[bench]'"
        ) from error
    bars = [
        (f"{figure.name}: {name}", ratio)
        for figure in figures
        for name, ratio in figure.ratios.items()
    ]
    picture = Picture(figsize=(10, 1 + 0.25 * max(1, len(bars))), layout="constrained")
    axes = picture.subplots()
    axes.barh([label for label, _ in bars], [ratio for _, ratio in bars])
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("ours / this")
    axes.invert_yaxis()
    try:
        picture.savefig(file)
    except (OSError, ValueError) as error:
        raise OptionError(f"cannot write {file}: {error}") from error


def _figure(benchmark: dict[str, Any]) -> Figure:
    info = benchmark["extra_info"]
    low, high = info[f"{_SPREAD}ours"]
    return Figure(
        name=benchmark["name"],
        group=benchmark["group"] or "",
        unit=info["unit"],
        ours=info["ours"],
        spread=(low, high),
        ratios={key.removeprefix(_RATIO): info[key] for key in info if key.startswith(_RATIO)},
        cpu_seconds=info.get("cpu of ours"),
        missing=tuple(info.get("missing", ())),
    )


def _short(number: float) -> str:
    return f"{number:,.3g}" if abs(number) < 1000 else f"{number:,.0f}"


def _print(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # brackets in a name are no markup
    Console().print(table)
