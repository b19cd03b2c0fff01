"""Any object has a form as JSON."""

import datetime
import decimal
import json
import pathlib
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pytest

from d4py_cli.results import JsonLines, as_json


@dataclass
class Point:
    x: int
    y: object


class Odd:
    def __repr__(self):
        return "<odd>"


CYCLE = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        ("Zoë → \U0001f40d", "Zoë → \U0001f40d"),
        ((1, [2.5]), [1, [2.5]]),
        (namedtuple("Pair", "a b")(1, 2), [1, 2]),
        ({"a": {1: "x"}}, {"a": {"1": "x"}}),
        ({(1, 2): "x"}, {"(1, 2)": "x"}),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        ({3, 1, 2}, [1, 2, 3]),
        (b"\x00\xff", "AP8="),
        (bytearray(b"a"), "YQ=="),
        (float("nan"), None),
        ([float("inf"), 1.0], [None, 1.0]),
        (np.int64(3), 3),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (np.array([1.0, np.nan]), [1.0, None]),
        ({"a": np.array([1])}, {"a": [1]}),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.datetime(2026, 1, 2, 3, 4), "2026-01-02T03:04:00"),
        (Point(1, {2}), {"x": 1, "y": [2]}),
        (pathlib.PurePosixPath("/a"), "PurePosixPath('/a')"),
        (decimal.Decimal("1.5"), "Decimal('1.5')"),
        (2 + 1j, "(2+1j)"),
        (Odd(), "<odd>"),
        ([{Odd(): float("nan")}], [{"<odd>": None}]),
        (CYCLE, ["…"]),
        (Odd, f"{Odd!r}"),
        ("\ud800", "\ud800"),
    ],
    ids=repr,
)
def test_every_object_becomes_strict_json(value, expected, tmp_path):
    def refuse(token):
        raise AssertionError(f"{token} is not JSON")

    assert json.loads(as_json(value), parse_constant=refuse) == expected
    with JsonLines(str(tmp_path / "out.jsonl")) as lines:
        lines.write("PE0", "output", value)
    line = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"), parse_constant=refuse)
    assert line == {"pe": "PE0", "output": "output", "data": expected}


def test_a_line_is_there_as_soon_as_it_is_written(tmp_path):
    with JsonLines(str(tmp_path / "out.jsonl")) as lines:
        for count in range(1, 4):
            lines.write("PE0", "output", count)
            assert (tmp_path / "out.jsonl").read_text().count("\n") == count


def test_text_that_holds_line_ends_stays_on_one_line(tmp_path):
    assert "\n" not in as_json("a\nb\r\u2028")
