"""Results in tables, and pickled: what is read back is what PEs wrote, or it was refused."""

import csv
import datetime
import math
import pathlib
import pickle
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_helpers.output_files import DAY, ROME, TIME, refusal, save, skip_without_library

from d4py_cli.output.choosing import open_output


@dataclass
class Point:
    x: float
    name: str


class Pick(NamedTuple):
    station: str
    sample: int


@pytest.fixture
def target(tmp_path):
    def path(ending):
        skip_without_library(ending)
        return str(tmp_path / f"out{ending}")

    return path


def table(target, *results):
    """Return the rows of a Parquet table, without the columns that each has."""
    rows = pq.read_table(save(target(".parquet"), *results)).to_pylist()
    for row in rows:
        assert row.pop("pe") == "PE0"
        assert row.pop("output") == "output"
    return rows


class TestParquet:
    @pytest.mark.parametrize(
        "values",
        [
            [1, None, 2**53 + 1, -(2**63)],
            [2**64 - 1, 0],
            [0.1, math.inf, None],
            [1, 2.5],
            ["a", "", None, "Zoë"],
            [b"\x00\xff"],
            [True, None],
            [DAY, None],
            [TIME, TIME.replace(year=1700)],
            [datetime.timedelta(days=1, microseconds=1)],
            [datetime.timedelta(seconds=1), None],
            [[1, 2], [], None, [3]],
            [[[1.5]], [[], [2.5]]],
            [None, None],
            [[], [None]],
            [None, "late"],
        ],
        ids=repr,
    )
    def test_values_are_read_back_as_they_were(self, target, values):
        assert [row["data"] for row in table(target, *values)] == values

    def test_times_keep_their_zone(self, target):
        values = [TIME.replace(tzinfo=ROME), TIME.replace(month=7, tzinfo=ROME)]
        back = pd.read_parquet(save(target(".parquet"), *values))["data"]
        assert [entry.isoformat() for entry in back] == [entry.isoformat() for entry in values]

    def test_nan_is_no_missing_value(self, target):
        first, second = (row["data"] for row in table(target, math.nan, None))
        assert math.isnan(first)
        assert second is None

    def test_each_entry_of_a_record_is_a_column(self, target):
        rows = table(
            target, {"a": 1, "b": {"c": "x"}}, {"a": 2, "d": Point(0.5, "p")}, Pick("S", 3)
        )
        assert rows == [
            {"a": 1, "b.c": "x", "d.x": None, "d.name": None, "station": None, "sample": None},
            {"a": 2, "b.c": None, "d.x": 0.5, "d.name": "p", "station": None, "sample": None},
            {"a": None, "b.c": None, "d.x": None, "d.name": None, "station": "S", "sample": 3},
        ]

    def test_arrays_without_dimensions_are_numbers(self, target):
        values = [np.array(0.5), np.array(2), np.array(None)]
        assert table(target, *values) == [{"data": 0.5}, {"data": 2.0}, {"data": None}]

    def test_arrays_are_lists(self, target):
        assert table(target, {"a": np.arange(3), "b": np.float32(0.1)}) == [
            {"a": [0, 1, 2], "b": float(np.float32(0.1))}
        ]

    @pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
    def test_rows_of_data_frames_are_rows(self, target, make):
        assert table(target, make({"a": [1, 2], "t": [TIME, None]}), make({"a": [3]})) == [
            {"a": 1, "t": TIME},
            {"a": 2, "t": None},
            {"a": 3, "t": None},
        ]

    def test_an_index_is_a_column(self, target):
        frame = pd.DataFrame({"a": [1]}, index=pd.Index(["x"], name="station"))
        assert table(target, frame) == [{"station": "x", "a": 1}]

    def test_more_rows_than_are_written_together(self, target):
        assert [row["data"] for row in table(target, *range(25_000))] == list(range(25_000))

    def test_durations_of_any_unit_are_durations(self, target):
        values = [
            np.timedelta64(1_500_000_000, "ns"),
            np.timedelta64(2, "h"),
            np.timedelta64("NaT", "s"),
        ]
        second, hour = datetime.timedelta(seconds=1), datetime.timedelta(hours=1)
        assert [row["data"] for row in table(target, *values)] == [1.5 * second, 2 * hour, None]

    @pytest.mark.parametrize("make", [pd.DataFrame, pa.table], ids=["pandas", "pyarrow"])
    def test_columns_of_one_name_are_refused(self, target, make):
        data = make({"a": [1], "b": [2]})
        names = ["a", "a"]
        data = data.set_axis(names, axis=1) if make is pd.DataFrame else data.rename_columns(names)
        assert "a second column of this name in 'a'" in refusal(target(".parquet"), 1, data)

    def test_an_index_of_the_name_of_a_column_is_refused(self, target):
        frame = pd.DataFrame({"a": [1]}).set_index("a", drop=False)
        assert "a second column of this name in 'a'" in refusal(target(".parquet"), 1, frame)

    @pytest.mark.parametrize(
        ("values", "found"),
        [
            ([TIME, DAY], "date after datetime without a zone"),
            ([DAY, TIME], "datetime without a zone after date"),
            ([TIME, TIME.replace(tzinfo=ROME)], "datetime with a zone after datetime without"),
            ([TIME.replace(tzinfo=ROME), TIME.replace(tzinfo=datetime.UTC)], "zone UTC after"),
            ([7, "7"], "str after int"),
            ([1, True], "bool after int"),
            ([2**53 + 1, 0.5], "beyond 2**53"),
            ([0.5, 2**53 + 1], "beyond 2**53"),
            ([1, 2**64], "more than 64 bits"),
            ([[1], ["a"]], "str after int"),
            ([[1], 1], "int after list"),
            ([1, 1j], "complex"),
            ([1, np.timedelta64(1, "ns")], "a duration that microseconds cannot express"),
            ([1, np.timedelta64(1, "Y")], "a duration that microseconds cannot express"),
            ([1, np.int64(1).view("m8")], "a duration that microseconds cannot express"),
            (["a", "a\0"], "the text"),
            (["a", "\ud800"], "the text"),
            ([1, np.ma.masked_array([1], [True])], "MaskedArray"),
            ([1, {"a": {1: 2}}], "the key 1"),
            ([1, {"pe": 2}], "a second column of this name in 'pe'"),
            ([1, {"a": {"b": 1}, "a.b": 2}], "a second column of this name in 'a.b'"),
        ],
        ids=repr,
    )
    def test_what_has_no_type_in_common_is_refused(self, target, values, found):
        assert found in refusal(target(".parquet"), *values)


class TestCsv:
    def test_a_row_for_each_result(self, target):
        path = save(
            target(".csv"), {"a": 1, "b": 'say "x", y'}, {"a": math.nan, "c": TIME}, {"c": None}
        )
        with open(path, newline="", encoding="utf-8") as file:
            assert list(csv.reader(file)) == [
                ["pe", "output", "a", "b", "c"],
                ["PE0", "output", "1", 'say "x", y', ""],
                ["PE0", "output", "nan", "", TIME.isoformat()],
                ["PE0", "output", "", "", ""],
            ]

    def test_elements_of_lists_and_tuples_are_columns(self, target):
        path = save(target(".csv"), ["word", 3], ("other", 4))
        assert list(pd.read_csv(path)["1"]) == [3, 4]

    def test_an_empty_string_is_no_missing_value(self, target):
        path = save(target(".csv"), "", None, " a")
        rows = pathlib.Path(path).read_text().splitlines()[1:]
        assert rows == ['PE0,output,""', "PE0,output,", 'PE0,output," a"']

    def test_numbers_are_read_back_as_they_were(self, target):
        values = [0.1, 1e-300, 2.0**60, -0.0]
        assert list(pd.read_csv(save(target(".csv"), *values))["data"]) == values

    def test_arrays_without_dimensions_are_numbers(self, target):
        path = save(target(".csv"), {"a": np.array(5)}, {"a": np.array(7)})
        assert list(pd.read_csv(path)["a"]) == [5, 7]

    @pytest.mark.parametrize(
        ("values", "found"),
        [([np.zeros(3)], "an array of 3 elements"), (["7", 7], "int after str")],
        ids=repr,
    )
    def test_what_a_cell_cannot_hold_is_refused(self, target, values, found):
        assert found in refusal(target(".csv"), *values)


class TestPickle:
    def test_any_object_comes_back(self, target):
        values = [Point(1.0, "a"), {(1, 2): 1j}, pd.DataFrame({"a": [1]}), np.ma.masked]
        with open(save(target(".pkl"), *values), "rb") as file:
            back = pickle.load(file)["PE0"]["output"]
        assert back[:2] == values[:2]
        assert back[2].equals(values[2])
        assert back[3] is np.ma.masked

    def test_a_result_is_what_it_was_when_it_came(self, target):
        data = [1]
        with open_output(target(".pkl")) as file:
            file.write("PE0", "output", data)
            data.append(2)
        with open(target(".pkl"), "rb") as file:
            assert pickle.load(file) == {"PE0": {"output": [[1]]}}

    def test_what_cannot_be_pickled_is_refused(self, target):
        assert "function" in refusal(target(".pkl"), 1, lambda: None)
