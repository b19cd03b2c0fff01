"""What a command prints and writes: results, what PEs log, and notes."""

import json
import re
import sysconfig

import pytest

from d4py_conformance.subprocesses.programs import outputs_so_far

MAPPINGS = ["simple", "hybrid_redis"]


@pytest.fixture(params=MAPPINGS)
def mapping(request):
    return request.param


class TestWhatIsSaid:
    def test_results_go_to_stdout_and_all_else_to_stderr(self, invoke, write):
        write("wf.py")
        done = invoke("simple", "wf.py", "-i", 2)
        assert done.out == "Outputs: {'Square1': {'output': [1, 4]}}\n"
        assert re.fullmatch(
            r"Count0: 2 items, 0.0 s in calls \(\d+%\)\n"
            r"Square1: 2 items, 0.0 s in calls \(\d+%\)\n"
            r"SEED: \d+\nELAPSED TIME: \d+\.\d+\n",
            done.err,
        )

    def test_one_iteration_is_said_in_the_singular(self, invoke, write):
        write("wf.py")
        done = invoke("simple", "wf.py", "--per-process")
        assert "Count0: 1 item, " in done.err
        assert "Count0 (rank 0): Processed 1 iteration.\n" in done.err

    def test_what_pes_log_is_shown_once(self, dispel4py, write, mapping):
        write(
            "wf.py",
            """
            import logging
            from dispel4py import ProducerPE, WorkflowGraph
            logging.basicConfig(level=logging.DEBUG)
            class Talk(ProducerPE):
                def _process(self, inputs):
                    self.log("hello")
            graph = WorkflowGraph()
            graph.add(Talk())
            """,
        )
        done = dispel4py(mapping, "wf.py")
        assert re.findall(r"^Talk0 \(rank \d+\): hello$", done.err, re.MULTILINE)
        assert done.err.count("hello") == 1

    def test_quiet_silences_logs_progress_and_remarks(self, dispel4py, mapping):
        done = dispel4py(mapping, "pipeline_test", "-i", 1, "-q")
        assert done.outputs == {"TestOneInOneOut5": {"output": [1]}}
        assert done.err == ""

    def test_an_end_of_stderr_does_not_mix_it_with_results(self, dispel4py, write):
        write("wf.py")
        script = 'exec "$0" simple wf.py -i 2 2>&-'
        command = ["bash", "-c", script, dispel4py_path()]
        assert dispel4py(prefix=command).out == "Outputs: {'Square1': {'output': [1, 4]}}\n"

    def test_results_that_the_terminal_has_no_letters_for_are_shown_escaped(self, dispel4py, write):
        write("wf.py", "from dispel4py import *\ngraph = WorkflowGraph()\n" + SAY)
        from_ascii = {"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"}
        done = dispel4py("simple", "wf.py", "-q", env=from_ascii)
        assert done.out == "Outputs: {'Say0': {'output': ['Zo\\xeb \\u2192']}}\n"

    def test_a_result_without_text_is_named_and_the_others_are_shown(self, invoke, write):
        write("wf.py", UNSHOWN)
        done = invoke("simple", "wf.py", "-i", 3, "-q")
        assert done.status == 1
        # Python 3.14 and newer say how many digits it has.
        assert re.fullmatch(
            r"Outputs: {'Unshown0': {'output': \[1, <int[ ,][^>]+>, {'a': 'b'}\]}}\n", done.out
        )
        assert "error: Unshown0 wrote to output 'output' what cannot be shown as text" in done.err
        assert "choose a file that ends in .pkl (--output)" in done.err
        assert "Traceback" not in done.err
        assert invoke("simple", "wf.py", "-i", 3, "-q", "--output", "out.pkl").status == 0

    @pytest.mark.parametrize("options", [[], ["--output", "-"]])
    def test_a_stream_of_the_workflow_without_flush_gets_the_results(self, invoke, write, options):
        write("wf.py", REPLACES)
        done = invoke("simple", "wf.py", "-q", *options)
        assert (done.status, done.err) == (0, "")
        assert done.out.startswith("> Outputs: " if not options else '> {"pe"')

    def test_a_standard_output_that_a_pe_has_closed_is_named(self, dispel4py, write):
        write("wf.py", CLOSES)
        done = dispel4py("simple", "wf.py", "-q")
        assert done.status == 1
        assert done.err == (
            "dispel4py: error: cannot write results to standard output: it is closed\n"
        )


REPLACES = """
import sys
from dispel4py import ProducerPE, WorkflowGraph

class Marked:
    def __init__(self, stream):
        self.stream = stream
    def write(self, text):
        self.stream.write("> " + text)

sys.stdout = Marked(sys.stdout)
class One(ProducerPE):
    def _process(self, inputs):
        return 1

graph = WorkflowGraph()
graph.add(One())
"""

CLOSES = """
import sys
from dispel4py import ProducerPE, WorkflowGraph

class Closes(ProducerPE):
    def _process(self, inputs):
        sys.stdout.close()
        return 1

graph = WorkflowGraph()
graph.add(Closes())
"""

UNSHOWN = """
from dispel4py import ProducerPE, WorkflowGraph

class Unshown(ProducerPE):
    results = [{"a": "b"}, 10**5000, 1]
    stateful = True
    def _process(self, inputs):
        return self.results.pop()

graph = WorkflowGraph()
graph.add(Unshown())
"""

SAY = """
class Say(ProducerPE):
    def _process(self, inputs):
        return 'Zoë →'
graph.add(Say())
"""


def dispel4py_path():
    return f"{sysconfig.get_path('scripts')}/dispel4py"


class TestFailures:
    FAILING = """
    from dispel4py import IterativePE, ProducerPE, WorkflowGraph
    class Count(ProducerPE):
        total = 0
        def _process(self, inputs):
            self.total += 1
            return self.total
    class Divide(IterativePE):
        def _process(self, data):
            return 12 // (data - 2)
    graph = WorkflowGraph()
    graph.connect(Count(), "output", Divide(), "input")
    """

    def test_the_first_one_ends_the_run(self, dispel4py, write, mapping):
        write("wf.py", self.FAILING)
        done = dispel4py(mapping, "wf.py", "-i", 4)
        assert done.status == 1
        found = [
            data for outputs in outputs_so_far(done.out).values() for data in outputs["output"]
        ]
        assert {*found} <= {-12, 12, 6}  # of the items 1, 3 and 4, as far as they were processed
        assert len(found) == len({*found})
        assert "return 12 // (data - 2)" in done.err
        assert re.search(
            r"^dispel4py: error: Divide1 \(instance \d+\) failed in process at item 2:"
            r" ZeroDivisionError: ",
            done.err,
            re.MULTILINE,
        )
        assert "d4py_cli" not in done.err


class TestOutputFile:
    def test_each_result_is_one_json_object_on_a_line(self, dispel4py, write, folder, mapping):
        write("wf.py")
        done = dispel4py(mapping, "wf.py", "-i", 3, "--output", "out.jsonl", "-q")
        assert (done.status, done.out, done.err) == (0, "", "")
        lines = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
        assert sorted(lines, key=lambda line: line["data"]) == [
            {"pe": "Square1", "output": "output", "data": data} for data in (1, 4, 9)
        ]

    def test_a_dash_is_stdout(self, invoke, write):
        write("wf.py")
        done = invoke("simple", "wf.py", "-i", 1, "--output", "-")
        assert done.out == '{"pe": "Square1", "output": "output", "data": 1}\n'

    def test_results_that_came_before_a_failure_are_kept(self, invoke, write, folder):
        write("wf.py", TestFailures.FAILING)
        done = invoke("simple", "wf.py", "-i", 4, "--output", "out.jsonl")
        assert done.status == 1
        assert json.loads((folder / "out.jsonl").read_text())["data"] == -12


@pytest.mark.parametrize("more", [[], ["-q"]])
def test_a_pe_that_sends_nothing_is_noted_once(invoke, write, more):
    write(
        "wf.py",
        """
        from dispel4py import ConsumerPE, IterativePE, ProducerPE, WorkflowGraph

        class One(ProducerPE):
            def _process(self, inputs):
                return 1

        class Double(IterativePE):
            def _process(self, data):
                2 * data

        class Sink(ConsumerPE):
            def _process(self, data):
                print(data)

        graph, double = WorkflowGraph(), Double()
        graph.connect(One(), "output", double, "input")
        graph.connect(double, "output", Sink(), "input")
        """,
    )
    done = invoke("simple", "wf.py", "-i", "5", *more)
    assert done.status == 0
    assert done.err.count("Double1 got 5 items and sent none: does its _process() return") == 1
