"""`--run-dir` and `history`: a folder for each run, also for those that failed or were killed."""

import json
import pickle
import re
import signal

import pytest

from d4py_cli.runs.history import read_runs
from d4py_conformance.waiting import LIMIT, wait_until


def history(invoke, *arguments, **settings):
    """The rows of the list, as name → columns."""
    done = invoke("history", *arguments, **settings)
    assert (done.status, done.err) == (0, "")
    rows = [re.split(r" {3,}", line) for line in done.out.splitlines()]
    assert rows[0] == ["run", "state", "time", "calls", "failures", "command"]
    return rows[1:]


def wait_for_run(folder, calls):
    """Wait until the only run of a folder has logged so many calls."""
    runs = []

    def has_begun():
        runs[:] = read_runs(folder) if folder.exists() else []
        return runs and runs[0].calls >= calls

    wait_until(has_begun, f"{calls} calls")
    return runs[0]


def test_a_run_is_kept_with_all_that_belongs_to_it(invoke, write, folder):
    write("wf.py")
    done = invoke("simple", "wf.py", "-i", 5, "--seed", 7, "--run-dir", "runs")
    assert done.status == 0, done.err
    (run,) = (folder / "runs").iterdir()
    files = {path.name for path in run.iterdir()}
    assert files == {"run.json", "events.jsonl", "stats.json", "results.pkl", "report.html"}
    about = json.loads((run / "run.json").read_text())
    assert (about["state"], about["calls"], about["failures"]) == ("done", 10, 0)
    assert about["directory"] == str(folder)
    assert "d4py-core" in about["packages"]
    assert [source["path"] for source in about["sources"]] == [str(folder / "wf.py")]
    assert json.loads((run / "stats.json").read_text())["seed"] == 7
    results = pickle.loads((run / "results.pkl").read_bytes())
    assert results == {"Square1": {"output": [1, 4, 9, 16, 25]}}
    assert invoke("report", run / "events.jsonl", "-o", "again.html").status == 0
    ((name, state, _, calls, failures, command),) = history(invoke, "runs")
    assert (name, state, calls, failures) == (run.name, "done", "10", "0")
    assert command


def test_the_variable_names_the_folder(invoke, write, folder):
    write("wf.py")
    env = {"DISPEL4PY_RUN_DIR": str(folder / "runs")}
    assert invoke("simple", "wf.py", "--output", "out.jsonl", env=env).status == 0
    (run,) = (folder / "runs").iterdir()
    assert not (run / "results.pkl").exists()
    assert json.loads((run / "run.json").read_text())["output"] == str(folder / "out.jsonl")
    assert len(history(invoke, env=env)) == 1


def test_a_run_that_failed_says_so(invoke, write):
    write("wf.py", "from dispel4py import *\n" + FAILING)
    assert invoke("simple", "wf.py", "-i", 3, "--run-dir", "runs").status == 1
    ((_, state, *_, failures, _),) = history(invoke, "runs")
    assert (state, failures) == ("failed", "1")


FAILING = """
class Fail(ProducerPE):
    def _process(self, inputs):
        raise ValueError("no")
graph = WorkflowGraph()
graph.add(Fail())
"""


def test_a_refused_run_leaves_no_folder(invoke, write, folder):
    write("wf.py")
    assert invoke("simple", "wf.py", "-d", '{"Nobody": 3}', "--run-dir", "runs").status == 2
    assert list((folder / "runs").iterdir()) == []


@pytest.mark.parametrize("mapping", ["simple", "multi"])
def test_a_killed_run_is_listed_as_killed_and_before_as_running(
    start, endless, invoke, folder, mapping
):
    process = start(mapping, endless, "-n", "2", "-i", "1000000", "--run-dir", "runs")
    assert wait_for_run(folder / "runs", 3).state == "running"
    process.send_signal(signal.SIGKILL)
    process.wait(LIMIT)
    # Workers have the log open until they have ended.
    wait_until(lambda: history(invoke, "runs")[0][1] != "running", "the end of all workers")
    ((_, state, _, calls, *_),) = history(invoke, "runs")
    assert state == "killed"
    assert int(calls.replace(",", "")) >= 3


def test_runs_that_begin_at_once_have_a_folder_each(start, write, folder):
    write("wf.py")
    processes = [start("simple", "wf.py", "--run-dir", "runs") for _ in range(2)]
    assert [process.wait(100) for process in processes] == [0] * 2
    runs = list(read_runs(folder / "runs"))
    assert [run.state for run in runs] == ["done"] * 2
    assert len({run.name for run in runs}) == 2


@pytest.mark.parametrize(
    "about",
    [
        '{"command": "make", "schema": 1}',
        '{"command": ["a"], "state": "done"}',
        *("[]", "{}", "{", '{"schema": 1, "command": [1]}'),
        '{"schema": 1, "command": ["a"], "state": 5, "seconds": 1, "calls": 1, "failures": 0}',
        '{"schema": 1, "command": ["a"], "state": "done", "seconds": null, "calls": 1,'
        ' "failures": 0}',
    ],
)
def test_folders_of_other_programs_are_left_out(invoke, write, about):
    write("wf.py")
    write("runs/other/run.json", about)
    assert invoke("simple", "wf.py", "--run-dir", "runs").status == 0
    assert [state for _, state, *_ in history(invoke, "runs")] == ["done"]


def test_a_missing_folder_is_named(invoke):
    done = invoke("history", "gone")
    assert (done.status, done.out) == (2, "")
    assert "cannot read gone: No such file" in done.err
    assert "dispel4py history DIR" in invoke("history").err
