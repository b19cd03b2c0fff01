"""Rules I6 and I7 on the command line: `--strict`, `--seed`, and `check --try`."""

import re

import pytest

#: A mean that does not say that it keeps anything, of numbers that are drawn.
MEAN = """
import random
from dispel4py import IterativePE, ProducerPE, WorkflowGraph

class Draw(ProducerPE):
    def _process(self, inputs):
        return random.randint(1, 10**9)

class Mean(IterativePE):
    def __init__(self):
        super().__init__()
        self.count = self.total = 0
    def _process(self, data):
        self.count += 1
        self.total += data
        return self.total / self.count

graph = WorkflowGraph()
graph.connect(Draw(), "output", Mean(), "input")
"""
SAID = "Mean1 changed its attributes 'count' and 'total' but does not say that it keeps state"


@pytest.fixture
def workflow(write):
    write("wf.py", MEAN)
    return "wf.py"


@pytest.mark.parametrize("mapping", ["simple", "multi", "dyn_multi", "hybrid_redis"])
class TestOnMappings:
    def test_i6_undeclared_state_is_reported_once(self, dispel4py, workflow, mapping):
        done = dispel4py(mapping, workflow, "-i", 9, "-n", 4)
        assert done.status == 0
        assert done.err.count(SAID) == 1
        assert "stateful = True" in done.err

    def test_i6_strict_refuses_it(self, dispel4py, workflow, mapping):
        done = dispel4py(mapping, workflow, "-i", 9, "-n", 4, "--strict")
        assert done.status == 1
        assert f"error: {SAID}" in done.err
        assert "Traceback" not in done.err

    def test_i7_the_seed_that_is_shown_gives_the_same_numbers(self, dispel4py, workflow, mapping):
        first = dispel4py(mapping, "wf.py", "-i", 1, "-n", 4)
        (seed,) = re.findall(r"^SEED: (\d+)$", first.err, re.MULTILINE)
        again = dispel4py(mapping, "wf.py", "-i", 1, "-n", 4, "--seed", seed)
        assert again.outputs == first.outputs
        assert dispel4py("simple", "wf.py", "-i", 1, "--seed", seed).outputs == first.outputs


def test_i6_it_is_reported_where_no_more_than_warnings_are_logged(invoke, workflow):
    done = invoke("simple", workflow, "-i", 9, "-q")
    assert done.err.count("\n") == done.err.count(SAID) == 1


@pytest.mark.parametrize("seed", ["-1", "x", "1.5", str(1 << 64)])
def test_i7_what_is_no_seed_is_refused(invoke, workflow, seed):
    done = invoke("simple", workflow, f"--seed={seed}")
    assert done.status == 2
    assert "seed" in done.err
    assert "Traceback" not in done.err


class TestTry:
    def test_i6_mappings_that_would_differ_are_named(self, invoke, workflow):
        done = invoke("check", workflow, "--try", 5)
        assert done.status == 2
        assert SAID in done.out
        rows = done.out.partition("results\n")[2].splitlines()
        said = dict(row.split(maxsplit=1) for row in rows)
        assert said["simple"] == "as on simple"
        for mapping in ("multi", "dyn_redis", "hybrid_redis", "mpi"):
            assert said[mapping] == "may differ: Mean1 may have several instances there"
        assert done.err == ""

    def test_i6_a_mapping_that_cannot_run_it_is_not_named_again(self, invoke, write):
        keeper = "keeper = IterativePE()\nkeeper.stateful = True\n"
        write("wf.py", f"{MEAN}{keeper}graph.connect(Draw(), 'output', keeper, 'input')\n")
        done = invoke("check", "wf.py", "--try", 5)
        assert done.status == 2
        assert "dyn_redis" not in done.out.partition("results\n")[2]

    def test_i6_nothing_to_say_is_said(self, invoke, write):
        write("wf.py")
        done = invoke("check", "wf.py", "--try", 5)
        assert done.status == 0
        assert "no PE keeps undeclared state" in done.out

    def test_a_workflow_that_fails_is_reported(self, invoke, write):
        write("wf.py", MEAN.replace("random.randint(1, 10**9)", "1 / 0"))
        done = invoke("check", "wf.py", "--try", 5)
        assert done.status == 1
        assert "Draw0 (instance 0) failed in process" in done.err

    def test_n_has_to_be_a_number(self, invoke, workflow):
        done = invoke("check", workflow, "--try", "some")
        assert done.status == 2
        assert "--try" in done.err


#: Two instances of a PE that write to one file.
SAME_FILE = """
from dispel4py import ConsumerPE, ProducerPE, WorkflowGraph

class Count(ProducerPE):
    def _process(self, inputs):
        return 1

class Write(ConsumerPE):
    def _preprocess(self):
        self.file = open("written.txt", "w")
    def _process(self, data):
        self.file.write("line\\n")

graph = WorkflowGraph()
write = Write()
write.numprocesses = 2
graph.connect(Count(), "output", write, "input")
"""


@pytest.mark.parametrize("mapping", ["simple", "multi"])
def test_i6_instances_that_overwrite_one_file_are_reported_and_refused(dispel4py, write, mapping):
    write("same_file.py", SAME_FILE)
    said = "several instances of Write1 had 'written.txt' open for writing"
    done = dispel4py(mapping, "same_file.py", "-i", 9, "-n", 3)
    assert (done.status, done.err.count(said)) == (0, 1)
    done = dispel4py(mapping, "same_file.py", "-i", 9, "-n", 3, "--strict")
    assert (done.status, done.err.count(f"error: {said}")) == (1, 1)
