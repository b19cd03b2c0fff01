"""``dispel4py plot-scaling``: a picture of active workers and backlog over time.

It reads what a run wrote with ``--scaling-trace``, and recognises that file by its columns alone.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from dispel4py.errors import OptionError
from dispel4py.result import ScalingPoint

_COLUMNS = [field.name for field in fields(ScalingPoint)]


def plot_scaling(options: argparse.Namespace) -> int:
    """Draw the trace of a run.

    Raises:
        OptionError: the trace cannot be read, or the picture cannot be made or written.
    """
    points = read_trace(options.trace)
    target = options.output or str(Path(options.trace).with_suffix(".png"))
    draw_trace(points, target)
    if options.output is None:
        print(f"the picture is {target}", file=sys.stderr)
    return 0


def read_trace(source: str) -> list[ScalingPoint]:
    """Read a CSV file with the columns ``seconds``, ``active`` and ``backlog``, and others perhaps.

    Raises:
        OptionError: there is no such file, or no trace in it; the line is named.
    """
    line = 1
    try:
        with open(source, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            titles = next(reader, [])
            missing = [name for name in _COLUMNS if name not in titles]
            if missing:
                raise ValueError(f"there is no column {', '.join(missing)}")
            columns = [titles.index(name) for name in _COLUMNS]
            points = []
            for row in reader:
                line = reader.line_num
                if row:
                    points.append(_read_point(row, columns))
            line += 1
            if not points:
                raise ValueError("there is no row below the titles")
            return points
    except OSError as error:
        raise OptionError(f"cannot read {source}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"cannot read {source}: it is not a text file (UTF-8)") from error
    except (ValueError, csv.Error) as error:
        raise OptionError(f"{source} is no scaling trace: line {line}: {error}") from error


def draw_trace(points: Sequence[ScalingPoint], target: str) -> None:
    """Write a picture; the format is that of the file's suffix.

    Raises:
        OptionError: matplotlib is not installed, it does not know the format, or the file cannot
            be written.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise OptionError(
            "plot-scaling draws with matplotlib, which is not installed:"
            " pip install 'd4py-cli[plot]'"
        ) from error
    seconds = [point.seconds for point in points]
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    active = figure.add_subplot()
    active.step(seconds, [point.active for point in points], where="post", color="tab:blue")
    active.set_xlabel("seconds")
    active.set_ylabel("active workers", color="tab:blue")
    active.yaxis.set_major_locator(MaxNLocator(integer=True))
    active.set_ylim(bottom=0)
    backlog = active.twinx()
    backlog.step(
        seconds, [point.backlog for point in points], where="post", color="tab:orange", alpha=0.7
    )
    backlog.set_ylabel("tasks that wait", color="tab:orange")
    backlog.set_ylim(bottom=0)
    try:
        figure.savefig(target)
    except OSError as error:
        raise OptionError(f"cannot write {target} (-o): {error.strerror}") from error
    except ValueError as error:  # the format; matplotlib lists those that it supports
        raise OptionError(f"cannot write {target} (-o): {error}") from error


def _read_point(row: list[str], columns: list[int]) -> ScalingPoint:
    if len(row) <= max(columns):
        raise ValueError(f"it ends after {','.join(row)!r}")
    numbers = []
    for name, column in zip(_COLUMNS, columns, strict=True):
        try:
            number = float(row[column])
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < 0:
            raise ValueError(f"{name} is {row[column]!r}, not a number from 0 on")
        numbers.append(number)
    return ScalingPoint(numbers[0], int(numbers[1]), int(numbers[2]))
