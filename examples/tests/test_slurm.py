"""The scripts of `clusters/` and what a job does in Slurm, in a real one on this host."""

import json
import os
import sys
from pathlib import Path

import pytest
from dynamic_helpers.servers import Server

from d4py_conformance.subprocesses import slurm
from d4py_conformance.waiting import wait_until

CLUSTERS = Path(__file__).parents[1] / "clusters"
#: The environment of this Python, which the scripts activate.
ENVIRONMENT = Path(sys.executable).parents[1]

WORKFLOW = """
import time
from dispel4py import GenericPE, ProducerPE, IterativePE, WorkflowGraph

class Count(ProducerPE):
    number = 0
    def _process(self, inputs):
        self.number += 1
        return self.number

class Square(IterativePE):
    def _process(self, number):
        time.sleep({pause})
        return number % 5, number * number

class Total(GenericPE):
    def __init__(self):
        super().__init__(2)
        self._add_input("input", grouping=[0])
        self._add_output("output")
        self.totals = {{}}
    def process(self, inputs):
        key, value = inputs["input"]
        self.totals[key] = self.totals.get(key, 0) + value
    def _postprocess(self):
        for pair in self.totals.items():
            self.write("output", pair)

graph = WorkflowGraph()
square, total = Square(), Total()
graph.connect(Count(), "output", square, "input")
graph.connect(square, "output", total, "input")
"""

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm"), pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def cluster():
    reason = slurm.why_not()
    if reason is not None:
        (pytest.fail if os.environ.get("D4PY_TEST_SLURM") else pytest.skip)(reason)
    made = slurm.SlurmCluster()
    yield made
    made.stop()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.stop()


@pytest.fixture
def submit(cluster):
    """Submits a script of `clusters/`, or the text of one."""

    def submit(script, *arguments, **settings):
        path = CLUSTERS / script
        if script.startswith("#!"):
            path = cluster.folder / "job.sh"
            path.write_text(script)
        return cluster.submit(path, *arguments, D4PY_ENVIRONMENT=str(ENVIRONMENT), **settings)

    return submit


def workflow(cluster, pause):
    path = cluster.folder / "wf.py"
    path.write_text(WORKFLOW.format(pause=pause))
    return str(path)


def totals(count):
    found = {}
    for number in range(1, count + 1):
        found[number % 5] = found.get(number % 5, 0) + number * number
    return found


def assert_exact(path, count):
    values = [json.loads(line)["data"] for line in path.read_text().splitlines()]
    assert dict(map(tuple, values)) == totals(count)
    assert len(values) == 5


def test_a_workflow_runs_by_mpi_on_the_nodes_of_a_job(cluster, submit):
    inputs = cluster.folder / "inputs.json"
    inputs.write_text(json.dumps({"Count": [{}] * 100}))
    job = submit(
        "slurm-mpi.sh", workflow(cluster, 0), str(inputs),
        options="--nodes=2 --ntasks-per-node=2 --cpus-per-task=1",
    )  # fmt: skip
    assert cluster.await_end(job) == "COMPLETED", cluster.output(job)
    assert_exact(cluster.folder / f"results-{job}.jsonl", 100)


def test_c5_jobs_of_workers_come_and_go(cluster, submit, server):
    key, results = cluster.folder / "run.key", cluster.folder / "workers.jsonl"
    driver = submit(
        f"""#!/bin/bash
        source $D4PY_ENVIRONMENT/bin/activate
        exec dispel4py hybrid_redis {workflow(cluster, 0.02)} -i 300 -n 0 --key-file {key} \\
            --output {results}
        """,
        options="-n 1", REDIS_URL=server.url,
    )  # fmt: skip
    wait_until(key.exists, "the run's key")
    options = "--ntasks=1 --cpus-per-task=2"
    first, second = [
        submit("slurm-workers.sh", str(key), options=options, REDIS_URL=server.url)
        for _ in range(2)
    ]
    wait_until(lambda: "taking part" in cluster.output(first), "the first workers")
    cluster.run("scancel", first)
    assert cluster.await_end(driver) == "COMPLETED", cluster.output(driver)
    assert cluster.await_end(second) == "COMPLETED", cluster.output(second)
    assert_exact(results, 300)
    assert server.keys() == []


def test_h2_a_run_that_a_time_limit_has_ended_is_resumed_by_another_job(cluster, submit, server):
    key, results = cluster.folder / "resumed.key", cluster.folder / "resumed.jsonl"
    script = f"""#!/bin/bash
        source $D4PY_ENVIRONMENT/bin/activate
        exec dispel4py "$@" --key-file {key} --redis-url {server.url} --output {results}
        """
    path = workflow(cluster, 0.05)
    first = submit(script, "hybrid_redis", path, "-i", "200", "-n", "2", "--resumable")
    with server.client() as client:
        wait_until(lambda: len(client.keys("*:calls")) == 1, "the first results")
    # What a time limit does, too: SIGTERM to all processes, and SIGKILL after a while.
    cluster.run("scancel", first)
    assert cluster.await_end(first) == "CANCELLED"
    assert "the run stays; with the same key: dispel4py resume" in cluster.output(first)
    assert key.exists()
    second = submit(script, "resume")
    assert cluster.await_end(second) == "COMPLETED", cluster.output(second)
    assert_exact(results, 200)
    assert server.keys() == []
    assert not key.exists()


def srun(cluster, options, command):
    program = f"{ENVIRONMENT}/bin/dispel4py"
    return cluster.run("srun", *options.split(), program, *command.split())


def test_tasks_of_srun_that_are_no_ranks_are_refused_at_once(cluster):
    done = srun(cluster, "--mpi=none -n 4", f"mpi {workflow(cluster, 0)} -i 8")
    assert "none of them as an MPI rank; add --mpi=pmi2" in done.stderr
    assert done.returncode == 2


def test_tasks_of_srun_do_not_write_one_file_together(cluster):
    done = srun(cluster, "-n 3", f"multi {workflow(cluster, 0)} -i 8 --output all.jsonl")
    assert "srun has started 3 processes, and each of them would run" in done.stderr
    assert done.returncode == 2
    assert not (cluster.folder / "all.jsonl").exists()


@pytest.mark.parametrize(("options", "expected"), [("-n 1 -c 3", "3"), ("-n 2 -c 1", "1\n1")])
def test_auto_is_what_slurm_has_allotted(cluster, options, expected):
    code = "from dispel4py.processes.cores import usable_cores; print(min(2, usable_cores()))"
    done = cluster.run("srun", *options.split(), sys.executable, "-c", code)
    assert done.stdout.strip() == expected.replace("3", str(min(2, os.cpu_count())))
