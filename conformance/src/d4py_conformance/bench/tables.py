"""Benchmarks as tables and a picture: what they measured, and how two sessions of them compare.

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
    """

    name: str
    group: str
    unit: str
    ours: float
    spread: tuple[float, float]
    ratios: dict[str, float]

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
        ratios = ", ".join(f"{name} {_short(ratio)}" for name, ratio in figure.ratios.items())
        value = f"{_short(figure.ours)} {figure.unit}"
        rows.append((figure.group, figure.name, value, f"±{figure.noise / 2:.0%}", ratios))
    _print(("what", "benchmark", "median", "spread", "ratio of ours to"), rows)


def print_comparison(before: Iterable[Figure], after: Iterable[Figure]) -> None:
    """Print two sessions side by side.

    A change counts only where it is larger than both sessions' noise.
    """
    earlier = {figure.name: figure for figure in before}
    rows = []
    for figure in after:
        known = earlier.get(figure.name)
        if known is None or not known.ours:
            continue
        change = figure.ours / known.ours
        noise = max(figure.noise, known.noise)
        verdict = "within the noise" if abs(change - 1) <= noise else f"x {change:.2f}"
        rows.append(
            (
                figure.name,
                f"{_short(known.ours)} {known.unit}",
                f"{_short(figure.ours)} {figure.unit}",
                f"{noise:.0%}",
                verdict,
            )
        )
    _print(("benchmark", "before", "after", "noise", "change"), rows)


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
