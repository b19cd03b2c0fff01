"""Results in files that scientists use: what is read back is what PEs wrote, or it was refused."""

import csv
import datetime
import json
import math
import os
import pathlib
import pickle
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from d4py_cli.output.choosing import ENDINGS, open_output
from d4py_conformance.waiting import LIMIT
from dispel4py.errors import GraphError, OptionError, RunError

COLLECTED = [".csv", ".h5", ".npz", ".parquet", ".pkl"]
DAY = datetime.date(2026, 1, 2)
TIME = datetime.datetime(2026, 1, 2, 3, 4, 5, 6)
ROME = ZoneInfo("Europe/Rome")


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


def skip_without_library(ending):
    """Skip a test of HDF5 on a Python that is too new for a wheel of h5py."""
    if ending == ".h5":
        pytest.importorskip("h5py")


def save(target, *results, pe="PE0", output="output"):
    """Write results as a run does."""
    with open_output(target) as file:
        for data in results:
            file.write(pe, output, data)
    return target


def table(target, *results):
    """Return the rows of a Parquet table, without the columns that each has."""
    rows = pq.read_table(save(target(".parquet"), *results)).to_pylist()
    for row in rows:
        assert row.pop("pe") == "PE0"
        assert row.pop("output") == "output"
    return rows


def refusal(target, *results):
    """Return the message for the last of some results; those before are in the file."""
    *accepted, refused = results
    with open_output(target) as file:
        for data in accepted:
            file.write("PE0", "output", data)
        with pytest.raises(RunError) as caught:
            file.write("PE0", "output", refused)
    assert not accepted or os.path.getsize(target)
    message = str(caught.value)
    for word in (target, "PE0", "'output'", "cannot hold", "; "):
        assert word in message
    return message


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


def read_arrays(path):
    """Return the arrays of an archive or of HDF5 by name."""
    if path.endswith(".npz"):
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    import h5py

    found = {}

    def add(name, entry):
        if isinstance(entry, h5py.Dataset):
            pe, output, *field = name.split("/")
            name = ".".join([pe, output, *([] if field == ["data"] else field)])
            found[name] = entry.asstr()[:] if entry.dtype.kind == "O" else entry[:]

    with h5py.File(path) as file:
        file.visititems(add)
    return found


@pytest.mark.parametrize("ending", [".npz", ".h5"])
class TestArrays:
    def test_results_are_stacked(self, target, ending):
        arrays = [np.arange(6).reshape(2, 3) + i for i in range(3)]
        back = read_arrays(save(target(ending), *arrays))
        assert list(back) == ["PE0.output"]
        assert back["PE0.output"].dtype == arrays[0].dtype
        assert np.array_equal(back["PE0.output"], np.stack(arrays))

    def test_each_field_and_output_has_an_array(self, target, ending):
        with open_output(target(ending)) as file:
            file.write("A", "x", {"station": "Zoë", "trace": {"data": np.float32([1, 2]), "n": 2}})
            file.write("B", "y", [1, 2.5])
            file.write("A", "x", {"station": "long name", "trace": {"data": [3, 4], "n": 2}})
        back = read_arrays(target(ending))
        assert list(back["A.x.station"]) == ["Zoë", "long name"]
        assert np.array_equal(back["A.x.trace.data"], [[1, 2], [3, 4]])
        assert back["A.x.trace.n"].dtype.kind == "i"
        assert np.array_equal(back["B.y"], [[1, 2.5]])

    @pytest.mark.parametrize(
        "values", [[2**64 - 1, 0], [1j], [True, False], [np.int8(1)]], ids=repr
    )
    def test_numbers_keep_their_kind(self, target, ending, values):
        back = read_arrays(save(target(ending), *values))["PE0.output"]
        assert back.tolist() == [np.asarray(value).item() for value in values]
        assert back.dtype == np.asarray(values[0]).dtype

    @pytest.mark.parametrize(
        ("values", "found"),
        [
            ([np.zeros(2), np.zeros(3)], "an array of shape (3,) after one of shape (2,)"),
            ([[1, [2]]], "shape"),
            ([np.ma.masked_array([1], [True])], "MaskedArray"),
            ([np.array([None])], "object"),
            ([np.zeros(2, "i4,f4")], "ndarray"),
            ([1, True], "bool after int64"),
            ([1, "1"], "after int64"),
            ([[1, "1"]], "after int64"),
            ([[2**63, -1]], "after uint64"),
            ([2**53 + 1, 0.5], "float64 after int64"),
            ([2**70], "object"),
            ([None], "None"),
            ([{"a": 1}, {"b": 1}], "fields that not all results have ('a', 'b')"),
            (["a\0"], "zero byte"),
            ([TIME.replace(tzinfo=ROME)], "datetime"),
            ([{"a/b": 1}], "the key 'a/b'"),
            ([{"a": {"b": 1}, "a.b": 2}], "a second field of this name in 'a.b'"),
            ([{}, {"a": 1}], "fields that not all results have ('a')"),
            ([{"a": 1}, {}], "fields that not all results have ('a')"),
            ([{"a\udc80": 1}], "the text 'a\\udc80'"),
        ],
        ids=repr,
    )
    def test_what_arrays_would_change_is_refused(self, target, ending, values, found):
        assert found in refusal(target(ending), *values)


def test_fields_of_hdf5_are_groups_by_their_dots_as_far_as_that_can_be(target):
    path = save(target(".h5"), {"No.": 1, "a.b": 2, "c": {"d": 3}})
    import h5py

    with h5py.File(path) as file:
        fields = file["PE0/output"]
        assert [fields[name][0] for name in ("No.", "a/b", "c/d")] == [1, 2, 3]
    assert "a field that others lie in in 'a'" in refusal(target(".h5"), {"a": 1, "a.b": 2})
    assert "a second field of this name in 'data'" in refusal(target(".h5"), {"": 1, "data": 2})


@pytest.mark.parametrize(
    ("ending", "first", "second", "found"),
    [
        (".npz", ("a.b", 1), ("a", {"b": 2}), "a second array PE0.a.b, after that of output 'a.b'"),
        (".h5", ("a/b", 1), ("a", {"b": {"data": 2}}), "a second array PE0/a/b/data, after that"),
        (".h5", ("a/b", 1), ("a", {"b": 2}), "an array PE0/a/b beside others in a group of that"),
        (".h5", ("a", {"b": 1}), ("a/b", 2), "an array PE0/a/b beside others in a group of that"),
        (".h5", ("a", 1), (".", 1), "the name PE0/./data"),
    ],
)
def test_arrays_of_one_name_are_refused(target, ending, first, second, found):
    """One of them would replace the other."""
    with open_output(target(ending)) as file:
        file.write("PE0", *first)
        with pytest.raises(RunError) as caught:
            file.write("PE0", *second)
    assert found in str(caught.value)
    assert [array.tolist() for array in read_arrays(target(ending)).values()] == [[1]]


def test_archives_of_numpy_hold_times(target):
    back = read_arrays(save(target(".npz"), {"t": TIME, "d": DAY}))
    assert back["PE0.output.t"].tolist() == [TIME]
    assert back["PE0.output.d"].tolist() == [DAY]
    assert "date" in refusal(target(".npz"), TIME, DAY)


def test_hdf5_holds_no_times(target):
    assert "datetime64" in refusal(target(".h5"), TIME)


@pytest.mark.parametrize("ending", [".csv", ".h5", ".npz", ".parquet"])
def test_a_list_within_itself_is_refused(target, ending):
    cycle = []
    cycle.append(cycle)
    assert "nested too deep, or within itself" in refusal(target(ending), cycle)


class TestTheFile:
    """It holds all results of a run, or what it held before."""

    @pytest.mark.parametrize("ending", COLLECTED)
    def test_a_run_that_is_refused_or_has_no_result_leaves_it(self, tmp_path, target, ending):
        old = pathlib.Path(target(ending))
        old.write_text("yesterday")
        for error in (GraphError(["no graph"]), KeyboardInterrupt()):
            with suppress(GraphError, KeyboardInterrupt), open_output(str(old)):
                raise error
        assert old.read_text() == "yesterday"
        assert os.listdir(tmp_path) == [old.name]

    @pytest.mark.parametrize("ending", COLLECTED)
    def test_a_run_that_fails_leaves_what_it_had(self, tmp_path, target, ending):
        (tmp_path / f"out{ending}").write_text("yesterday")
        with suppress(RunError), open_output(target(ending)) as file:
            file.write("PE0", "output", 1)
            raise RunError
        assert (tmp_path / f"out{ending}").read_bytes() != b"yesterday"
        assert os.listdir(tmp_path) == [f"out{ending}"]

    @pytest.mark.parametrize("ending", COLLECTED)
    def test_a_run_without_results_makes_an_empty_one(self, target, ending):
        save(target(ending))
        assert os.path.exists(target(ending))

    @pytest.mark.parametrize("ending", COLLECTED)
    def test_a_second_run_into_it_is_refused(self, target, ending):
        with open_output(target(ending)) as file:
            file.write("PE0", "output", 1)
            with pytest.raises(OptionError, match="another run is writing to it"):
                open_output(target(ending))
        save(target(ending), 2)  # but not one that comes after it

    def test_results_are_kept_where_the_file_cannot_be_written(self, tmp_path):
        target = tmp_path / "out.csv"
        file = open_output(str(target))
        file.write("PE0", "output", 1)
        target.mkdir()
        with pytest.raises(RunError, match=r"out\.csv: Is a directory; .* in .*out\.csv\.partial"):
            file.__exit__(None, None, None)
        with open(f"{target}.partial", "rb") as left:
            assert pickle.load(left) == (
                "PE0",
                "output",
                {"pe": "PE0", "output": "output", "data": 1},
            )
        assert sorted(os.listdir(tmp_path)) == ["out.csv", "out.csv.partial"]

    def test_results_are_kept_where_memory_does_not_do(self, tmp_path, monkeypatch):
        file = open_output(str(tmp_path / "out.npz"))
        file.write("PE0", "output", 1)

        def savez(*arguments, **options):
            raise MemoryError("Unable to allocate 64. GiB")

        monkeypatch.setattr(np, "savez", savez)
        with pytest.raises(RunError, match=r"MemoryError: Unable .* are in .*out\.npz\.partial"):
            file.__exit__(None, None, None)
        assert os.listdir(tmp_path) == ["out.npz.partial"]

    def test_files_of_other_programs_beside_it_stay(self, tmp_path):
        (tmp_path / "out.csv.partial").write_text("half a download")
        with pytest.raises(OptionError, match=r"out\.csv\.partial, where .* another program"):
            open_output(str(tmp_path / "out.csv"))
        assert (tmp_path / "out.csv.partial").read_text() == "half a download"
        (tmp_path / "out.csv.partial").unlink()
        (tmp_path / "out.csv.new").write_text("of mine")
        save(str(tmp_path / "out.csv"), 1)
        assert (tmp_path / "out.csv.new").read_text() == "of mine"
        assert sorted(os.listdir(tmp_path)) == ["out.csv", "out.csv.new"]

    def test_a_link_stays_one(self, tmp_path):
        os.symlink("real.csv", tmp_path / "link.csv")
        save(str(tmp_path / "link.csv"), 1)
        assert os.path.islink(tmp_path / "link.csv")
        assert (tmp_path / "real.csv").read_text().count("\n") == 2

    def test_who_may_read_it_stays_as_it_was(self, tmp_path):
        (tmp_path / "out.csv").write_text("yesterday")
        (tmp_path / "out.csv").chmod(0o600)
        save(str(tmp_path / "out.csv"), 1)
        assert (tmp_path / "out.csv").stat().st_mode & 0o777 == 0o600

    def test_one_that_is_write_protected_is_refused(self, tmp_path, monkeypatch):
        (tmp_path / "out.csv").write_text("precious")
        monkeypatch.setattr(os, "access", lambda name, mode: mode != os.W_OK)  # root may write all
        with pytest.raises(OptionError, match="the file is write-protected"):
            open_output(str(tmp_path / "out.csv"))
        assert os.listdir(tmp_path) == ["out.csv"]

    def test_an_ending_that_is_not_known_is_refused(self, tmp_path):
        with pytest.raises(OptionError, match=f"must be one of {ENDINGS}"):
            open_output(str(tmp_path / "out.xlsx"))
        assert not os.listdir(tmp_path)

    def test_a_folder_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(OptionError, match="No such file or directory"):
            open_output(str(tmp_path / "missing" / "out.csv"))

    def test_a_library_that_is_missing_is_named(self, tmp_path, monkeypatch):
        monkeypatch.delitem(sys.modules, "d4py_cli.output.parquet_table", raising=False)
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(OptionError, match=r"pip install 'd4py-cli\[parquet\]'"):
            open_output(str(tmp_path / "out.parquet"))


RESULTS = """
from dispel4py import ProducerPE, WorkflowGraph

class Rows(ProducerPE):
    n = 0

    def _process(self, inputs):
        self.n += 1
        return {"n": self.n, "half": self.n / 2}

graph = WorkflowGraph()
graph.add(Rows())
"""


def halves_of_lines(path):
    return [json.loads(line)["data"]["half"] for line in path.read_text().splitlines()]


def halves_of_arrays(path):
    return read_arrays(str(path))["Rows0.output.half"].tolist()


HALVES = {
    ".csv": lambda path: list(pd.read_csv(path)["half"]),
    ".h5": halves_of_arrays,
    ".jsonl": halves_of_lines,
    ".npz": halves_of_arrays,
    ".parquet": lambda path: pq.read_table(path)["half"].to_pylist(),
    ".pkl": lambda path: [
        row["half"] for row in pickle.loads(path.read_bytes())["Rows0"]["output"]
    ],
}


@pytest.mark.parametrize("ending", HALVES)
def test_a_command_writes_the_file(start, write, folder, ending):
    skip_without_library(ending)
    write("wf.py", RESULTS)
    process = start("multi", "wf.py", "-i", 20, "-n", 2, "--output", f"out{ending}")
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err.decode()
    assert out == b""
    path = folder / f"out{ending}"
    assert sorted(HALVES[ending](path)) == [n / 2 for n in range(1, 21)]


def test_a_file_in_a_folder_that_is_not_there_is_refused_by_its_name(invoke, write):
    write("wf.py")
    done = invoke("simple", "wf.py", "--output", "gone/out.csv")
    assert done.status == 2
    assert "cannot write gone/out.csv (--output): No such file or directory" in done.err


def wait_for_result(process, folder):
    """Wait until results lie in the file beside the target."""
    partial = folder / "out.csv.partial"
    while not partial.exists() or not partial.stat().st_size:
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.01)


def rows_in(folder):
    return (folder / "out.csv").read_text().count("\n") - 1


def test_an_interrupted_run_leaves_what_it_had_and_a_killed_one_the_old_file(
    start, endless, folder
):
    process = start("simple", endless, "-i", 1_000_000, "--output", "out.csv")
    wait_for_result(process, folder)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    rows = rows_in(folder)
    assert rows > 0

    process = start("simple", endless, "-i", 1_000_000, "--output", "out.csv")
    wait_for_result(process, folder)
    process.kill()
    process.communicate(timeout=LIMIT)
    assert rows_in(folder) == rows

    save(str(folder / "out.csv"), 1)  # what the killed one has left does not matter
    assert rows_in(folder) == 1
    assert not (folder / "out.csv.partial").exists()
