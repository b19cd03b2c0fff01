"""What is said of items that were skipped: a summary, a file of them all, an exit status."""

import json
import re

import pytest

WORKFLOW = """
from dispel4py import ConsumerPE, IterativePE, ProducerPE, WorkflowGraph

class Count(ProducerPE):
    total = 0
    def _process(self, inputs):
        self.total += 1
        return self.total

class Divide(IterativePE):
    def _process(self, data):
        if data == 4:
            raise KeyError("a\\nb")
        return 12 // (data % 3 - 2)

graph = WorkflowGraph()
graph.connect(Count(), "output", Divide(), "input")
"""
#: Fails in the call of `_process` itself.
SIZED = """
class Size(IterativePE):
    _process = staticmethod(len)

graph = WorkflowGraph()
graph.connect(Count(), "output", Size(), "input")
"""
HOPELESS = WORKFLOW.replace("data % 3 - 2", "0")


@pytest.fixture(params=["simple", "multi"])
def skipping(request, dispel4py, write):
    """Runs the workflow on a mapping; returns what it has done."""

    def run(*arguments, workflow=WORKFLOW, calls=10):
        write("wf.py", workflow)
        return dispel4py(
            request.param, "wf.py", "-i", calls, "--on-error", "skip", "-q", *arguments
        )

    return run


def test_they_are_summed_up_by_pe_and_type(skipping):
    done = skipping()

    assert sorted(done.outputs["Divide1"]["output"]) == [-12] * 3 + [-6] * 3
    assert re.fullmatch(
        r"4 failures were skipped:\n"
        r"  3 × ZeroDivisionError in Divide1; the first: Divide1 \(instance \d\) failed in process"
        r" at item [258]: ZeroDivisionError: .*\n"
        r"  1 × KeyError in Divide1; Divide1 \(instance \d\) failed in process at item 4: .*\n"
        r"  --failures FILE writes each one there, with its item and traceback\n",
        done.err,
    )


def test_one_is_one(skipping):
    assert skipping(calls=3).err.startswith("1 failure was skipped:\n  1 × ZeroDivisionError")


def test_none_is_not_mentioned(skipping):
    assert skipping(calls=1).err == ""


def test_each_one_is_a_json_object_on_a_line(skipping, folder):
    done = skipping("--failures", "failed.jsonl")

    assert done.status == 0
    assert "--failures" not in done.err
    lines = [json.loads(line) for line in (folder / "failed.jsonl").read_text().splitlines()]
    assert sorted(line["item"] for line in lines) == ["2", "4", "5", "8"]
    (wrong,) = (line for line in lines if line["item"] == "4")
    assert wrong.pop("traceback").splitlines()[-1] == "KeyError: 'a\\nb'"
    assert wrong.pop("instance") >= 0
    assert wrong == {
        "pe": "Divide1",
        "phase": "process",
        "item": "4",
        "type": "KeyError",
        "message": "'a\\nb'",
    }


def test_the_one_that_ends_a_run_is_written_too(invoke, write, folder):
    write("wf.py", WORKFLOW)
    done = invoke("simple", "wf.py", "-i", 10, "--failures", "failed.jsonl")

    assert done.status == 1
    (line,) = (folder / "failed.jsonl").read_text().splitlines()
    assert (json.loads(line)["pe"], json.loads(line)["item"]) == ("Divide1", "2")


def test_a_run_in_which_nothing_got_through_a_pe_has_failed(skipping):
    done = skipping(workflow=HOPELESS)

    assert done.status == 1
    assert "9 × ZeroDivisionError in Divide1" in done.err
    assert done.err.splitlines()[-1] == (
        "dispel4py: error: the run counts as failed: every call failed in Divide1 (10 of 10)"
    )
    assert "Traceback" not in done.err


def test_a_run_that_skipped_anything_fails_on_demand(skipping):
    done = skipping("--fail-on-skipped")

    assert done.status == 1
    assert "Outputs: " in done.out
    assert done.err.splitlines()[-1] == (
        "dispel4py: error: --fail-on-skipped: 4 failures were skipped"
    )
    assert skipping("--fail-on-skipped", calls=1).status == 0


def test_a_file_that_cannot_be_written_is_refused(skipping):
    done = skipping("--failures", "/nowhere/x")

    assert done.status == 2
    assert "cannot write /nowhere/x (--failures): No such file or directory" in done.err


def test_a_mistake_with_no_line_to_show_is_said_once(dispel4py, write):
    write("wf.py", WORKFLOW.partition("class Divide")[0] + SIZED)
    done = dispel4py("multi", "wf.py", "-i", 1, "-q")

    assert done.status == 1
    where = "Size1 (instance 0) failed in process at item 1: "
    assert done.err.startswith(f"dispel4py: error: {where}TypeError: ")
    assert done.err.count("TypeError") == 1
