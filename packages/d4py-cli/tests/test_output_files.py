"""The file of `--output`: it holds all results of a run, or what it held before."""

import json
import os
import pathlib
import pickle
import signal
import sys
import time
from contextlib import suppress

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from cli_helpers.output_files import COLLECTED, read_arrays, save, skip_without_library

from d4py_cli.output.choosing import ENDINGS, open_output
from d4py_conformance.waiting import LIMIT
from dispel4py.errors import GraphError, OptionError, RunError


@pytest.fixture
def target(tmp_path):
    def path(ending):
        skip_without_library(ending)
        return str(tmp_path / f"out{ending}")

    return path


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
