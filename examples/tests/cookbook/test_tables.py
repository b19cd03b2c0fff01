"""Files are found, read and written, each row once.

pyarrow is imported in the tests that need it: processes are forked no more where its threads run.
"""

import csv
import os
import signal
from itertools import pairwise

import pytest

from d4py_examples.cookbook.files import FindFiles
from d4py_examples.cookbook.tables import ReadCSV, ReadParquet, WriteCSV, WriteParquet
from d4py_examples.cookbook.windows import CountWindows
from dispel4py import IterativePE, WorkflowGraph, run
from dispel4py.testing import feed

ROWS = [{"station": f"S{n % 3}", "depth": n / 4} for n in range(100)]


@pytest.fixture
def folder(tmp_path):
    """Return a folder with the rows in four CSV files, two of them in a folder inside."""
    (tmp_path / "more").mkdir()
    for number, place in enumerate(("0", "1", "more/2", "more/3")):
        with (tmp_path / f"{place}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["station", "depth"])
            writer.writeheader()
            writer.writerows(ROWS[number * 25 : (number + 1) * 25])
    return tmp_path


def read_csv(path):
    with open(path, newline="") as file:
        return [{**row, "depth": float(row["depth"])} for row in csv.DictReader(file)]


def read_parquet(path):
    parquet = pytest.importorskip("pyarrow.parquet")
    return parquet.read_table(path).to_pylist()


def test_files_of_a_pattern_come_in_the_order_of_their_names(folder):
    calls = [{}, {"pattern": f"{folder}/**/*.csv"}]
    found = feed(FindFiles(f"{folder}/*.csv"), calls)["output"]
    names = ["0.csv", "1.csv", "0.csv", "1.csv", "more/2.csv", "more/3.csv"]
    assert found == [f"{folder}/{name}" for name in names]


@pytest.mark.parametrize("pattern", ["/nowhere/*.csv", None])
def test_a_pattern_without_files_is_an_error(pattern):
    with pytest.raises((FileNotFoundError, ValueError), match=r"no file matches|no pattern"):
        feed(FindFiles(pattern), 1)


def test_csv_columns_get_their_types(folder):
    rows = feed(ReadCSV({"depth": float}), [f"{folder}/0.csv", f"{folder}/1.csv"])["output"]
    assert rows == ROWS[:50]


def test_parquet_is_read_in_parts_and_columns(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    rows = feed(ReadParquet(["depth"], rows_at_once=30), [f"{tmp_path}/rows.parquet"])["output"]
    assert rows == [{"depth": row["depth"]} for row in ROWS]


@pytest.mark.parametrize(("write", "read"), [(WriteCSV, read_csv), (WriteParquet, read_parquet)])
def test_each_list_becomes_a_file(tmp_path, write, read):
    if write is WriteParquet:
        pytest.importorskip("pyarrow")
    paths = feed(write(tmp_path / "out"), [ROWS[:30], ROWS[30:]])["output"]
    assert sorted(paths) == sorted(str(path) for path in (tmp_path / "out").iterdir())
    assert [read(path) for path in paths] == [ROWS[:30], ROWS[30:]]


class DieOnce(IterativePE):
    """Hands items on; kills the worker that gets the first one."""

    def __init__(self, marker):
        super().__init__()
        self.marker = marker

    def _process(self, path):
        if not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return path


def test_each_row_is_written_once_though_a_worker_is_lost(folder):
    out, died = folder / "out", folder / "died"
    pes = [
        FindFiles(f"{folder}/**/*.csv"),
        ReadCSV({"depth": float}),
        CountWindows(30),
        WriteCSV(out),
        DieOnce(died),
    ]
    graph = WorkflowGraph()
    for one, other in pairwise(pes):
        graph.connect(one, "output", other, "input")
    # Forked, since no worker could import this file.
    result = run(graph, mapping="hybrid_redis", processes=3, start_method="fork")
    paths = result.outputs["DieOnce4"]["output"]
    assert died.exists()
    assert sorted(paths) == sorted(str(path) for path in out.iterdir())
    rows = [row for path in paths for row in read_csv(path)]
    assert sorted(rows, key=lambda row: row["depth"]) == ROWS
