"""Results as JSON lines: exact, or refused with the place of what JSON has no form for."""

import datetime
import decimal
import io
import json
import os
import pathlib
import sys
import uuid
from collections import OrderedDict, namedtuple
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest

from d4py_cli.files import lines as lines_module
from d4py_cli.files.locks import lock_for_writing
from d4py_cli.output.json_lines import JsonLines
from d4py_cli.output.json_text import as_json
from d4py_cli.output.refusals import NotHeldError
from dispel4py.errors import GraphError, OptionError, RunError


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
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        ({3, 1, 2}, [1, 2, 3]),
        (b"\x00\xff", "AP8="),
        (bytearray(b"a"), "YQ=="),
        (np.int64(3), 3),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        ({"a": np.array([1])}, {"a": [1]}),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.datetime(2026, 1, 2, 3, 4), "2026-01-02T03:04:00"),
        (Point(1, {2}), {"x": 1, "y": [2]}),
        (pathlib.PurePosixPath("/a"), "/a"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (np.datetime64("2026-01-02T03:04:00", "ns"), "2026-01-02T03:04:00"),
        (np.array(["2026-01-02"], "datetime64[ns]"), ["2026-01-02T00:00:00.000000000"]),
        ([pd.NA, pd.NaT, pd.Timestamp("2026-01-02")], [None, None, "2026-01-02T00:00:00"]),
        ("\ud800", "\ud800"),
    ],
    ids=repr,
)
def test_data_become_strict_json(value, expected, tmp_path):
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


def test_a_standard_output_that_a_pe_has_replaced_is_left_open(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    with JsonLines("-") as lines:
        lines.write("PE0", "output", 1)
        monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert json.loads(stream.getvalue())["data"] == 1


def test_text_that_holds_line_ends_stays_on_one_line(tmp_path):
    assert "\n" not in as_json("a\nb\r\u2028")


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    ("value", "found"),
    [
        (float("nan"), "the float nan"),
        (np.float64("inf"), "the float inf"),
        ({(1, 2): "x"}, "the key (1, 2) of type tuple"),
        (decimal.Decimal("1.5"), "decimal.Decimal"),
        (2 + 1j, "complex"),
        (Odd(), f"{__name__}.Odd"),
        (Odd, "type"),
        (CYCLE, "nested too deep"),
        (np.ma.masked_array([1], [True]), "numpy.ma.MaskedArray"),
        (np.zeros(2, "i4,f4"), "numpy.ndarray"),
        (np.longdouble(1), "numpy.longdouble"),
        (np.timedelta64(1, "s"), "datetime.timedelta"),
        (np.timedelta64(1, "ns"), "a duration that microseconds cannot express"),
        (np.timedelta64(1000, "ns"), "datetime.timedelta"),
        (np.array([[1000]], "timedelta64[ns]"), "datetime.timedelta"),
        (pd.Timestamp(1), "nanoseconds"),
        (pd.DataFrame({"a": [1]}), "DataFrame"),
        (pd.Series([1], index=["a"]), "Series"),
    ],
    ids=repr,
)
def test_what_json_has_no_form_for_is_refused_by_name(tmp_path, value, found, inside):
    with JsonLines(str(tmp_path / "out.jsonl")) as lines:
        lines.write("PE0", "output", 1)
        with pytest.raises(RunError) as caught:
            lines.write("PE0", "output", {"a": [1.0, value]} if inside else value)

    where = "'data.a.1" if inside else "'data"
    for word in ("out.jsonl", "PE0", "'output'", "JSON", found, where, "; choose"):
        assert word in str(caught.value)
    assert (tmp_path / "out.jsonl").read_text().count("\n") == 1


@pytest.mark.parametrize("number_as", [lambda n: n, lambda n: [b"", n], lambda n: {n: b""}])
def test_a_number_of_more_digits_than_python_writes_is_refused(number_as):
    with pytest.raises(NotHeldError) as caught:
        as_json(number_as(10**5000))
    assert caught.value.found == "an int of 16,610 bits"


def test_a_second_run_into_the_same_file_is_refused(tmp_path):
    target = str(tmp_path / "out.jsonl")
    with JsonLines(target) as lines:
        lines.write("PE0", "output", 1)
        with pytest.raises(OptionError, match="another run is writing to it"):
            JsonLines(target)
    with JsonLines(target):  # but not one that comes after it
        pass


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

    def test_one_that_another_run_has_just_removed_is_made_anew(self, tmp_path, monkeypatch):
        target = tmp_path / "out.jsonl"

        def lock_late(file, *names):
            monkeypatch.setattr(lines_module, "lock_for_writing", lock_for_writing)
            target.unlink()  # as the other run does before its lock ends
            lock_for_writing(file, *names)

        monkeypatch.setattr(lines_module, "lock_for_writing", lock_late)
        with JsonLines(str(target)) as file:
            file.write("PE0", "output", 1)
        assert json.loads(target.read_text())["data"] == 1

    def test_a_run_without_results_removes_it_as_long_as_no_other_can_have_it(
        self, tmp_path, monkeypatch
    ):
        target = tmp_path / "out.jsonl"
        unlink = os.unlink

        def remove(name):
            with pytest.raises(OptionError, match="another run is writing to it"):
                JsonLines(str(target))
            unlink(name)

        monkeypatch.setattr(os, "unlink", remove)
        with pytest.raises(GraphError), JsonLines(str(target)):
            raise GraphError(["no graph"])
        assert not target.exists()
