"""`dispel4py MAPPING WORKFLOW`: what is run, and with what."""

import sys

import pytest

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
