"""Any object has a form as JSON."""

import datetime
import decimal
import json
import pathlib
from collections import OrderedDict, namedtuple
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pytest

from d4py_cli.results import JsonLines, as_json
from dispel4py.errors import GraphError, RunError


@dataclass
class Point:
    x: int
    y: object


class Odd:
    def __repr__(self):
        return "<odd>"


CYCLE = []
CYCLE.append(CYCLE)


class Measured:
    """As NumPy arrays with units are, which make no list of themselves."""

    def tolist(self):
        raise NotImplementedError("lists have no units")


class Table:
    """As data frames are: `repr` leaves most of them out."""

    def __dataframe__(self):
        raise AssertionError

    def __repr__(self):
        return "0 … 999"


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


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    ("value", "reason"),
    [(Measured(), "NotImplementedError: lists have no units"), (Table(), "it has no tolist()")],
    ids=["measured", "table"],
)
def test_what_json_has_no_form_for_is_refused_by_name(tmp_path, value, reason, inside):
    with JsonLines(str(tmp_path / "out.jsonl")) as lines:
        lines.write("PE0", "output", 1)
        with pytest.raises(RunError) as caught:
            lines.write("PE0", "output", {"a": [float("nan"), value]} if inside else value)

    kind = f"{__name__}.{type(value).__name__}"
    for word in ("PE0", "'output'", kind, reason, "lists and dicts"):
        assert word in str(caught.value)


class TestWhatTheFileHeld:
    """It is kept until there is something to take its place."""

    def test_a_run_that_is_refused_leaves_it(self, tmp_path):
        (tmp_path / "old").write_text("yesterday")
        for name in ("old", "new"):
            with pytest.raises(GraphError), JsonLines(str(tmp_path / name)):
                raise GraphError(["no graph"])

        assert (tmp_path / "old").read_text() == "yesterday"
        assert not (tmp_path / "new").exists()

    def test_the_first_result_takes_its_place(self, tmp_path):
        (tmp_path / "old").write_text("yesterday\n" * 100)
        with suppress(RunError), JsonLines(str(tmp_path / "old")) as lines:
            lines.write("PE0", "output", 1)
            raise RunError

        assert json.loads((tmp_path / "old").read_text())["data"] == 1

    def test_so_does_a_run_without_results(self, tmp_path):
        for name in ("old", "new"):
            with JsonLines(str(tmp_path / name)):
                pass
            assert (tmp_path / name).read_text() == ""
