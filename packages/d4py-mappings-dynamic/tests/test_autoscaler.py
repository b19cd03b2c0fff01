"""Runs with autoscaling in processes; see test_scaling.py for simulated ones."""

import argparse
import ast
import csv
import itertools
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from d4py_conformance.waiting import LIMIT, wait_until
from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.errors import OptionError, ProcessingError
from dispel4py.events import Scaled
from dispel4py.registry import load_mapping

WORKERS = 6
BURSTS, ITEMS = 3, 60


class Bursts(ProducerPE):
    """Many items at once, and then a pause."""

    def _process(self, inputs):
        for number in range(ITEMS):
            self.write("output", number)
        time.sleep(0.4)


class Waits(IterativePE):
    def _process(self, data):
        time.sleep(0.01)
        return data


class Fails(Waits):
    def _process(self, data):
        if data == ITEMS - 1:
            raise ValueError(data)
        return Waits._process(self, data)


def bursts(waits):
    graph = WorkflowGraph()
    graph.connect(Bursts(), "output", waits, "input")
    return graph


@pytest.fixture(params=["dyn_auto_multi", "dyn_auto_redis"])
def execute(request):
    """Runs a graph on each mapping that scales."""
    where = {}
    if "redis" in request.param:
        where["redis_url"] = request.getfixturevalue("server").url

    def execute(graph, inputs, **options):
        return run(graph, request.param, inputs, WORKERS, **where, **options)

    return execute


def read(trace):
    with open(trace, newline="") as file:
        rows = list(csv.DictReader(file))
    return [(float(r["seconds"]), int(r["active"]), int(r["backlog"])) for r in rows]


@pytest.mark.parametrize("scaling", ["demand", "queue", "idle"])
def test_active_workers_stay_within_bounds_and_all_work_is_done(execute, tmp_path, scaling):
    trace = tmp_path / "trace.csv"
    result = execute(bursts(Waits()), BURSTS, scaling=scaling, scaling_trace=str(trace))
    assert sorted(result.outputs["Waits1"]["output"]) == sorted([*range(ITEMS)] * BURSTS)
    points = [(point.seconds, point.active, point.backlog) for point in result.stats.scaling]
    assert {active for _, active, _ in points} <= set(range(1, WORKERS + 1))
    assert all(before[0] < after[0] for before, after in itertools.pairwise(points))
    assert [point[1:] for point in read(trace)] == [point[1:] for point in points]
    assert 0 < result.stats.worker_seconds <= WORKERS * result.stats.seconds


class ScaledBursts(Bursts):
    """Sends each burst once most workers are paused.

    Args:
        folder: where `Scaling` writes.
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self.number = 0

    def _process(self, inputs):
        paused = self.folder / f"paused-{self.number}"
        wait_until(paused.exists, f"the file {paused}")
        self.number += 1
        for _ in range(ITEMS):
            self.write("output", self.number)


class ScaledWaits(IterativePE):
    """Takes as long for a burst as it takes until all workers are active."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def _process(self, data):
        active = self.folder / f"active-{data}"
        wait_until(active.exists, f"the file {active}")
        time.sleep(0.01)


class Scaling:
    """Writes a file each time that few workers are active, and that all are; these are so first."""

    def __init__(self, folder):
        self.folder = folder
        self.number = 0
        self.are_active = True

    def on_event(self, event):
        if not isinstance(event, Scaled):
            return
        if event.active == WORKERS and not self.are_active:
            self.are_active = True
            self.number += 1
            (self.folder / f"active-{self.number}").touch()
        elif event.active <= 2 and self.are_active:
            self.are_active = False
            (self.folder / f"paused-{self.number}").touch()


def test_by_default_workers_are_paused_between_bursts_and_do_not_flap(execute, tmp_path):
    graph = WorkflowGraph()
    graph.connect(ScaledBursts(tmp_path), "output", ScaledWaits(tmp_path), "input")
    stats = execute(graph, BURSTS, observers=[Scaling(tmp_path)]).stats
    numbers = [n for n, _ in itertools.groupby(point.active for point in stats.scaling)]
    assert max(numbers) == WORKERS
    assert min(numbers[1:]) <= 2, "no worker was paused between bursts"
    assert stats.worker_seconds < WORKERS * stats.seconds
    rises = [after > before for before, after in itertools.pairwise(numbers)]
    turns = sum(a != b for a, b in itertools.pairwise(rises))
    assert turns <= 4 * BURSTS, numbers


def test_the_trace_of_a_run_that_fails_is_written(execute, tmp_path):
    trace = tmp_path / "trace.csv"
    with pytest.raises(ProcessingError):
        execute(bursts(Fails()), 1, scaling_trace=str(trace))
    assert read(trace)


def test_a_trace_that_cannot_be_written_is_an_error_before_any_pe_runs(execute, tmp_path):
    root = Bursts()
    root._preprocess = (tmp_path / "begun").touch
    graph = WorkflowGraph()
    graph.connect(root, "output", Waits(), "input")
    with pytest.raises(OptionError, match="cannot write"):
        execute(graph, 1, scaling_trace=str(tmp_path / "nowhere" / "trace.csv"))
    assert not (tmp_path / "begun").exists()


def test_c4_the_trace_is_written_after_ctrl_c(tmp_path, wait_until):
    flow = """
        import time
        from pathlib import Path
        from dispel4py import ConsumerPE, ProducerPE, WorkflowGraph

        class Numbers(ProducerPE):
            def _process(self, inputs):
                return 1

        class Waits(ConsumerPE):
            def _process(self, data):
                Path("begun").touch()
                time.sleep(0.01)

        graph = WorkflowGraph()
        graph.connect(Numbers(), "output", Waits(), "input")
    """
    (tmp_path / "flow.py").write_text(textwrap.dedent(flow))
    command = "dyn_auto_multi flow.py -i 1000000 -n 2 --scaling-trace trace.csv"
    process = subprocess.Popen(
        [sys.executable, "-m", "dispel4py", *command.split()],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process:
        wait_until((tmp_path / "begun").exists, "the first item")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert read(tmp_path / "trace.csv")


def test_files_that_options_name_are_in_the_folder_where_the_command_was_typed(
    tmp_path, monkeypatch
):
    """A workflow may change the folder when it is imported."""
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    load_mapping("dyn_auto_redis").add_arguments(parser)
    options = parser.parse_args(["--scaling-trace", "trace.csv", "--key-file", "run.key"])
    assert options.scaling_trace == str(tmp_path / "trace.csv")
    assert options.key_file == str(tmp_path / "run.key")
    with pytest.raises(SystemExit):
        parser.parse_args(["--scaling-trace", ""])


def test_the_trace_of_a_workflow_that_changes_the_folder_is_where_it_was_asked_for(tmp_path):
    flow = """
        import os
        from dispel4py import ProducerPE, WorkflowGraph

        os.chdir("elsewhere")
        graph = WorkflowGraph()
        graph.add(ProducerPE())
    """
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "flow.py").write_text(textwrap.dedent(flow))
    command = "dyn_auto_multi flow.py -i 1 -n 2 --scaling-trace trace.csv"
    subprocess.run(
        [sys.executable, "-m", "dispel4py", *command.split()],
        cwd=tmp_path,
        check=True,
        timeout=LIMIT,
    )
    assert read(tmp_path / "trace.csv")


def test_a_mapping_without_autoscaling_does_not_import_it():
    code = "import sys, d4py_dynamic.mappings.multi; print([m for m in sys.modules if 'scal' in m])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=LIMIT
    )
    assert ast.literal_eval(done.stdout) == ["d4py_dynamic.mappings.autoscaled"]
