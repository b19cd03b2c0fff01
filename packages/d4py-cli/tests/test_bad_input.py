"""What is wrong with a call, a workflow or a graph is said in one message, with exit status 2."""

import sys

import pytest

from d4py_conformance.waiting import NEVER

PORTS = """
from dispel4py import BasePE, IterativePE, ProducerPE, WorkflowGraph

graph = WorkflowGraph()
source, work, two = ProducerPE(), IterativePE(), BasePE(["left", "right"], ["output"])
graph.connect(source, "outptu", work, "input")
graph.connect(source, "output", work, "inptu")
graph.connect(work, "output", two, "left")
"""


@pytest.fixture
def refused(invoke):
    """Runs a command that is refused; returns what it said."""

    def run(*arguments):
        done = invoke(*arguments)
        assert done.status == 2, f"{done.out}\n{done.err}"
        assert done.out == ""
        assert "dispel4py: error: " in done.err
        assert "d4py_cli" not in done.err, "a traceback of ours"
        return done.err

    return run


class TestMapping:
    def test_an_unknown_one_is_answered_with_the_nearest(self, refused, write):
        write("wf.py")
        message = refused("simpel", "wf.py")
        assert "no mapping 'simpel' is installed" in message
        assert "did you mean 'simple'?" in message
        assert "'simple'" in message.split("installed:")[1]

    def test_one_that_is_like_nothing_is_answered_with_a_pip_line(self, refused):
        assert "pip install" in refused("qwertyuiop", "wf.py")

    def test_help_for_an_unknown_one_is_refused_too(self, refused):
        assert "no mapping 'simpel'" in refused("simpel", "--help")

    def test_options_in_front_of_it_are_refused(self, refused):
        assert "the mapping comes first, not '-i'" in refused("-i", "3", "simple", "wf.py")

    def test_an_option_that_it_does_not_have_is_named(self, refused, write):
        write("wf.py")
        message = refused("simple", "wf.py", "-ct", "10")
        assert "mapping 'simple' has no option '-ct'" in message
        assert "dispel4py simple --help" in message

    def test_help_as_a_word_is_answered_with_the_option(self, refused):
        assert "there is no command 'help'; see: dispel4py --help" in refused("help")

    def test_one_argument_too_many_is_named(self, refused, write):
        write("wf.py")
        assert "unexpected argument 'more'" in refused("simple", "wf.py", "more")

    def test_a_missing_workflow_is_reported(self, refused):
        assert "required: WORKFLOW" in refused("simple")

    @pytest.mark.parametrize(
        ("arguments", "right"),
        [
            (["wf.py", "-i", "3"], "dispel4py simple wf.py -i 3"),
            (["wf.py", "multi", "-n", "2"], "dispel4py multi wf.py -n 2"),
            (["wf", "--help"], "dispel4py simple wf --help"),
            (["gone.py"], "dispel4py simple gone.py"),
            (["split_merge", "multi"], "dispel4py multi split_merge"),
        ],
    )
    def test_a_workflow_in_its_place_is_answered_with_the_right_order(
        self, refused, write, arguments, right
    ):
        write("wf.py")
        message = refused(*arguments)
        assert f"'{arguments[0]}' is a workflow, and the mapping comes first: {right}\n" in message

    @pytest.mark.parametrize(("word", "near"), [("chekc", "check"), ("maping", "mappings")])
    def test_a_command_with_a_slip_of_the_pen_is_answered_with_the_nearest(
        self, refused, word, near
    ):
        assert f"there is no command '{word}'; did you mean '{near}'?" in refused(word)

    @pytest.mark.parametrize("name", ["spark", "storm"])
    def test_one_of_another_version_is_answered_with_what_to_use(self, refused, write, name):
        write("wf.py")
        assert "; use '" in refused(name, "wf.py")

    @pytest.mark.parametrize(
        ("option", "near"), [("--iterations", "--iter"), ("--onerror=skip", "--on-error")]
    )
    def test_an_option_that_there_is_not_is_answered_with_the_nearest(
        self, refused, write, option, near
    ):
        write("wf.py")
        assert f"did you mean '{near}'?" in refused("simple", "wf.py", option)


class TestWorkflow:
    def test_a_missing_file_is_answered_with_the_nearest(self, refused, write):
        write("my_flow.py")
        message = refused("simple", "my_flwo.py")
        assert "no workflow 'my_flwo.py'" in message
        assert "did you mean 'my_flow'?" in message

    def test_a_missing_example_is_answered_with_the_nearest(self, refused):
        assert "did you mean 'split_merge'" in refused("simple", "spilt_merge")

    def test_a_missing_module_is_reported(self, refused):
        assert "no workflow 'no.such.module'" in refused("simple", "no.such.module")

    def test_one_that_raises_shows_its_own_traceback_above_the_message(self, refused, write):
        write("wf.py", "def f():\n    return 1 / 0\nf()\n")
        message = refused("simple", "wf.py")
        traceback, _, end = message.partition("\ndispel4py: error: ")
        assert traceback.startswith("Traceback (most recent call last):\n")
        assert traceback.count("File ") == 2
        assert "return 1 / 0" in traceback
        assert end == "cannot import wf.py: ZeroDivisionError: division by zero\n"

    def test_a_syntax_error_shows_its_line(self, refused, write):
        write("wf.py", "x = 1\nif x\n")
        message = refused("simple", "wf.py")
        assert 'wf.py", line 2' in message
        assert "Traceback" not in message

    def test_one_that_exits_is_reported_without_a_traceback(self, refused, write):
        write("wf.py", "import sys\nsys.exit(0)")
        message = refused("simple", "wf.py")
        assert message == (
            "dispel4py: error: cannot import wf.py: line 2 of wf.py exited with status 0,"
            " before there was a workflow\n"
        )

    def test_what_argparse_refuses_is_shown_with_how_to_give_arguments(self, refused, write):
        write(
            "wf.py",
            """
            import argparse
            parser = argparse.ArgumentParser()
            parser.add_argument("--station", required=True)
            arguments = parser.parse_args()
            """,
        )
        message = refused("simple", "wf.py")
        assert "wf.py: error: the following arguments are required: --station\n" in message
        assert message.endswith("dispel4py MAPPING wf.py -- ARGUMENTS\n")
        assert "Traceback" not in message

    def test_no_graph_is_reported(self, refused, write):
        write("wf.py", "x = 1")
        assert "there is no WorkflowGraph in wf.py" in refused("simple", "wf.py")

    def test_several_graphs_are_reported_with_their_names(self, refused, write, invoke):
        text = write("wf.py").read_text()
        write("wf.py", text + "other = WorkflowGraph()\n")
        message = refused("simple", "wf.py")
        assert "2 graphs in wf.py: 'graph' and 'other'" in message
        assert invoke("simple", "wf.py", "-a", "graph").outputs

    def test_a_name_that_is_not_there_is_reported_with_those_that_are(self, refused, write):
        write("wf.py")
        message = refused("simple", "wf.py", "-a", "grpah")
        assert "no 'grpah' in wf.py (graphs: 'graph')" in message


class TestInputs:
    @pytest.fixture(autouse=True)
    def workflow(self, write):
        write("wf.py")

    def test_what_is_not_json_is_reported_with_its_position(self, refused):
        message = refused("simple", "wf.py", "-d", '{"Count0":\n  3;}')
        assert "-d is not JSON: line 2, column 4: " in message
        assert "\n    3;}\n     ^\n" in message

    @pytest.mark.parametrize("text", ["", "  ", "nonsense", "{", '{"a": 1} x', "[" * 100_000])
    def test_no_text_breaks_it(self, refused, write, text):
        write("inputs.json", text)
        assert "inputs.json (-f) is n" in refused("simple", "wf.py", "-f", "inputs.json")

    @pytest.mark.parametrize(
        "text",
        ['{"Count": [{"a": 1}], "Count": [{"a": 2}]}', '{"Count0": [{"Count": 1, "Count": 2}]}'],
    )
    def test_a_name_that_json_would_drop_is_reported(self, refused, text):
        message = refused("simple", "wf.py", "-d", text)
        assert "-d has the name 'Count' twice in one object, of which JSON keeps" in message

    def test_a_number_of_too_many_digits_is_reported(self, refused):
        message = refused("simple", "wf.py", "-d", '{"Count": ' + 5000 * "9" + "}")
        assert "-d cannot be read: Exceeds the limit" in message

    @pytest.mark.parametrize("text", ["[1]", "3", "null", '"Count0"', "true"])
    def test_what_is_no_object_is_reported(self, refused, text):
        message = refused("simple", "wf.py", "-d", text)
        assert f"-d is no JSON object but {text}" in message

    def test_an_object_that_the_shell_has_taken_apart_is_answered_with_the_quotes(self, refused):
        message = refused("simple", "wf.py", "-d", "{Count0:", "3}")
        assert "unexpected argument '3}' (put the JSON of -d into single quotes: -d '{" in message

    def test_a_missing_file_is_reported(self, refused):
        assert "cannot read no.json (-f): No such file" in refused(
            "simple", "wf.py", "-f", "no.json"
        )

    def test_a_file_that_is_no_text_is_reported(self, refused, folder):
        (folder / "inputs.json").write_bytes(b"\xff\xfe\x00")
        assert "is not JSON" in refused("simple", "wf.py", "-f", "inputs.json")

    def test_what_names_no_root_is_reported_with_those_that_would_do(self, refused):
        message = refused("simple", "wf.py", "-d", '{"Cuont0": 3}')
        assert "'Cuont0'" in message
        assert "'Count0'" in message

    @pytest.mark.parametrize("value", ['"x"', "-1", "1.5", "[3]", "null", '{"input": 1}'])
    def test_what_a_root_cannot_be_called_with_is_reported(self, refused, value):
        assert "Count0" in refused("simple", "wf.py", "-d", f'{{"Count0": {value}}}')

    @pytest.mark.parametrize("value", ["x", "1.5", ""])
    def test_iterations_that_are_no_number_are_reported(self, refused, value):
        assert f"-i/--iter: must be a whole number, not {value!r}" in refused(
            "simple", "wf.py", "-i", value
        )

    def test_negative_iterations_are_reported(self, refused):
        assert "-i/--iter: must be at least 0, not -1" in refused("simple", "wf.py", "-i", "-1")

    @pytest.mark.parametrize(
        ("mapping", "value", "least"),
        [("simple", "0", 1), ("dyn_multi", "0", 1), ("multi", "-3", 1), ("hybrid_redis", "-3", 0)],
    )
    def test_too_few_processes_are_refused_with_the_minimum(self, refused, mapping, value, least):
        message = refused(mapping, "wf.py", "-n", value)
        assert value in message
        assert f"it must be at least {least}" in message

    def test_no_process_at_all_needs_a_server_that_others_can_reach(self, refused):
        message = refused("hybrid_redis", "wf.py", "-n", "0")
        assert "workers cannot join a run on its private Redis server" in message

    def test_an_output_file_that_cannot_be_written_is_reported(self, refused):
        message = refused("simple", "wf.py", "--output", "nowhere/out.jsonl")
        assert "cannot write nowhere/out.jsonl (--output): No such file" in message

    @pytest.mark.parametrize("option", ["--output", "--failures", "--log"])
    def test_a_name_of_a_file_that_is_empty_is_refused(self, refused, option):
        message = refused("simple", "wf.py", option, "")
        assert f"argument {option}: must be the name of a file, not empty" in message

    @pytest.mark.parametrize("options", [("output", "failures"), ("log", "output")])
    def test_two_options_that_name_one_file_are_refused(self, refused, write, folder, options):
        write("wf.py")
        first, second = options
        message = refused("simple", "wf.py", f"--{first}", "out.csv", f"--{second}", "./out.csv")
        assert " name the same file, " in message
        assert not [*folder.glob("out*")]

    def test_what_is_no_file_may_be_named_twice(self, invoke, write):
        write("wf.py")
        done = invoke("simple", "wf.py", "--log", "/dev/null", "--failures", "/dev/null")
        assert done.status == 0, done.err

    def test_several_tasks_of_srun_do_not_write_one_file(self, invoke, write, tmp_path):
        write("wf.py")
        step = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "3"}
        done = invoke("simple", "wf.py", "--output", "all.jsonl", env=step)
        assert (done.status, done.out) == (2, "")
        assert "srun has started 3 processes" in done.err
        assert not (tmp_path / "all.jsonl").exists()
        assert invoke("simple", "wf.py", env=step).status == 0
        step["SLURM_STEP_NUM_TASKS"] = "1"
        assert invoke("simple", "wf.py", "--output", "all.jsonl", env=step).status == 0


class TestGraph:
    @pytest.mark.parametrize("command", [["simple"], ["hybrid_redis"], ["check"]])
    def test_every_problem_is_reported_at_once(self, refused, write, command):
        write("wf.py", PORTS)
        message = refused(*command, "wf.py")
        assert "ProducerPE0 has no output 'outptu'" in message
        assert "IterativePE1 has no input 'inptu'" in message
        assert "input 'right' of BasePE2 is not connected" in message

    def test_a_cycle_is_reported(self, refused, write):
        write(
            "wf.py",
            """
            from dispel4py import IterativePE, WorkflowGraph
            graph, a, b = WorkflowGraph(), IterativePE(), IterativePE()
            graph.connect(a, "output", b, "input")
            graph.connect(b, "output", a, "input")
            """,
        )
        assert "cycle" in refused("simple", "wf.py")

    @pytest.mark.parametrize("command", [["simple"], ["dyn_multi"], ["check"]])
    def test_a_method_that_nothing_would_run_is_reported(self, refused, write, command):
        write(
            "wf.py",
            """
            from dispel4py import ConsumerPE, ProducerPE, WorkflowGraph
            class Lines(ProducerPE):
                def _process(self, inputs):
                    yield "a"
            class Stores(ConsumerPE):
                async def _process(self, data):
                    pass
            graph = WorkflowGraph()
            graph.connect(Lines(), "output", Stores(), "input")
            """,
        )
        message = refused(*command, "wf.py")
        assert "write each item with self.write('output', item) instead" in message
        assert "Stores1: _process() is an async def" in message

    def test_an_empty_graph_is_reported(self, refused, write):
        write("wf.py", "from dispel4py import WorkflowGraph\ngraph = WorkflowGraph()")
        assert "the graph is empty" in refused("simple", "wf.py")

    def test_a_pe_that_cannot_be_sent_is_named_with_its_attribute(self, refused, write):
        write(
            "wf.py",
            """
            import threading
            from dispel4py import ProducerPE, WorkflowGraph
            class Locked(ProducerPE):
                def __init__(self):
                    super().__init__()
                    self.connection = threading.Lock()
            graph = WorkflowGraph()
            graph.add(Locked())
            """,
        )
        message = refused("hybrid_redis", "wf.py")
        assert "Locked0" in message
        assert "connection" in message
        assert "preprocess()" in message


class TestWhileItRuns:
    def test_a_group_key_that_an_item_lacks_names_key_and_item(self, invoke, write):
        write(
            "wf.py",
            """
            from dispel4py import ConsumerPE, ProducerPE, WorkflowGraph
            class Source(ProducerPE):
                def _process(self, inputs):
                    return {"name": "x"}
            class Sink(ConsumerPE):
                def __init__(self):
                    super().__init__()
                    self._add_input("input", grouping=["town"])
                    self.numprocesses = 2
                def _process(self, data):
                    pass
            graph = WorkflowGraph()
            graph.connect(Source(), "output", Sink(), "input")
            """,
        )
        done = invoke("simple", "wf.py")
        assert done.status == 1
        for word in ("Source0", "input 'input' of Sink1", "'town'", "'x'"):
            assert word in done.err

    def test_a_redis_that_does_not_answer_at_first_is_not_tried_again(self, dispel4py, write):
        write("wf.py")
        done = dispel4py(
            "hybrid_redis", "wf.py", "-ri", "127.0.0.1", "-rp", "1", "--reconnect", NEVER
        )
        assert done.status == 1
        assert "127.0.0.1:1" in done.err
        assert "Traceback" not in done.err


class TestTheCurrentFolder:
    @pytest.mark.parametrize(
        "arguments",
        [
            ("simple", "wf"),
            ("simple", "{folder}/wf.py", "--log", "log"),
            ("simple", "{folder}/wf.py", "--run-dir", "{folder}/runs"),
            ("mpi", "{folder}/wf.py", "-n", "2"),
            ("multi", "{folder}/wf.py", "-n", "2", "--start-method", "spawn"),
        ],
        ids=" ".join,
    )
    def test_one_that_was_removed_is_named(self, dispel4py, write, folder, arguments):
        write("wf.py")
        without = ("sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "sh")
        done = dispel4py(
            *(text.format(folder=folder) for text in arguments),
            prefix=(*without, sys.executable, "-m", "dispel4py"),
        )
        assert done.status == 2
        assert "current folder" in done.err
        assert "Traceback" not in done.err
        assert not [*folder.glob("runs/*")]
