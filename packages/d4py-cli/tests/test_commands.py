"""`mappings`, `check`, `draw`, `plot-scaling`, and the help texts."""

import os
import re
import shlex

import pytest

from dispel4py.registry import available

#: What has a help text of its own; [] is the command alone.
SUBJECTS = [
    [],
    ["simple"],
    ["hybrid_redis"],
    ["mappings"],
    ["check"],
    ["draw"],
    ["plot-scaling"],
    ["report"],
    ["history"],
    ["runs"],
    ["worker"],
]


class TestMappings:
    def test_each_is_listed_with_what_brings_it_and_what_it_can_do(self, invoke):
        done = invoke("mappings")
        assert (done.status, done.err) == (0, "")
        (line,) = [line for line in done.out.splitlines() if line.startswith("simple ")]
        assert re.search(r"d4py-core \d+\.\d+", line)
        assert "stateful, group_by, broadcast" in line

    def test_an_alias_says_whose_it_is(self, invoke):
        lines = invoke("mappings").out.splitlines()
        (line,) = [line for line in lines if line.startswith("redis ")]
        assert "another name of hybrid_redis" in line

    def test_every_known_mapping_is_there_or_has_its_pip_line(self, invoke):
        out = invoke("mappings").out
        for name in ("multi", "zmq_multi", "mpi", "dyn_multi", "dyn_redis", "hybrid_redis"):
            (line,) = [line for line in out.splitlines() if line.startswith(f"{name} ")]
            assert re.search(r"d4py-\S+ \d+\.\d+", line) or "pip install 'd4py-" in line

    def test_it_takes_no_workflow(self, invoke):
        done = invoke("mappings", "wf.py")
        assert done.status == 2
        assert "wf.py" in done.err


@pytest.mark.parametrize("mapping", available())
def test_the_help_of_a_mapping_has_nothing_about_its_class(invoke, mapping):
    done = invoke(mapping, "--help")
    assert done.status == 0
    assert "Args:" not in done.out
    assert "Attributes:" not in done.out


class TestCheck:
    def test_pes_and_mappings_are_listed(self, invoke):
        done = invoke("check", "split_merge")
        assert done.status == 0
        assert "split_merge can run: 4 PEs, 4 edges\n" in done.out
        assert re.search(
            r"^TestTwoInOneOut3 +1 +TestOneInOneOut1, TestOneInOneOutWriter2$", done.out, re.M
        )
        assert re.search(r"^simple +yes$", done.out, re.MULTILINE)
        assert "this is the example" in done.err

    def test_stateful_pes_are_named_with_the_reason(self, invoke):
        done = invoke("check", "word_count")
        assert done.status == 0
        assert re.search(
            r"WordCounter1 .* its input 'input' has the grouping \[0\]$", done.out, re.M
        )

    def test_nothing_is_run(self, invoke, write):
        write("wf.py", "from dispel4py import *\ngraph = WorkflowGraph()\ngraph.add(ProducerPE())")
        assert invoke("check", "wf.py").status == 0

    @pytest.fixture
    def holding(self, write):
        """Writes a workflow whose second PE holds something."""

        def write_workflow(held):
            write(
                "wf.py",
                f"""
                import threading
                from dispel4py import IterativePE, ProducerPE, WorkflowGraph
                class Holds(IterativePE):
                    def __init__(self):
                        super().__init__()
                        self.held = {held}
                graph = WorkflowGraph()
                graph.connect(ProducerPE(), "output", Holds(), "input")
                """,
            )

        return write_workflow

    def test_each_mapping_makes_of_the_pes_what_a_run_would(self, invoke, holding):
        holding("threading.Lock()")
        done = invoke("check", "wf.py")
        assert done.status == 0
        answers = answers_in(done.out)
        assert answers["simple"] == answers["threads"] == "yes"
        for name in ("multi", "zmq_multi", "dyn_multi", "hybrid_redis"):
            assert answers[name].startswith("no: Holds1: ")
            assert "attribute 'held' (a lock)" in answers[name]

    def test_pes_that_no_mapping_takes_are_no_workflow_that_can_run(self, dispel4py, holding):
        holding("open('notes.txt', 'w')")
        done = dispel4py("check", "wf.py")
        assert done.status == 2
        assert done.out.startswith("wf.py cannot run on any mapping that is installed")
        assert all(answer.startswith("no: ") for answer in answers_in(done.out).values())
        assert "the file 'notes.txt' (mode 'w') is open" in answers_in(done.out)["simple"]

    def test_what_a_run_would_need_is_reported(self, invoke, write):
        write("wf.py")
        done = invoke("check", "wf.py", env={"REDIS_URL": "redis://127.0.0.1:1"})
        assert done.status == 0
        answers = answers_in(done.out)
        assert answers["hybrid_redis"].startswith("yes, but: ")
        assert "127.0.0.1:1" in answers["hybrid_redis"]
        assert answers["dyn_multi"] == "yes"


def answers_in(out):
    """Return what `check` says of each mapping."""
    lines = out.partition("can run it\n")[2].splitlines()
    return {name: answer.strip() for name, _, answer in (line.partition(" ") for line in lines)}


class TestDraw:
    def test_the_default_is_dot_on_stdout(self, invoke):
        done = invoke("draw", "split_merge")
        assert done.status == 0
        assert done.out.startswith("digraph")
        assert "TestProducer0" in done.out

    def test_mermaid_can_be_asked_for(self, invoke):
        assert invoke("draw", "split_merge", "--mermaid").out.startswith("flowchart")

    @pytest.mark.parametrize(
        ("options", "beginning"),
        [(["a.dot"], "digraph"), (["a.mmd"], "flowchart"), (["a.txt", "--mermaid"], "flowchart")],
    )
    def test_the_file_has_the_format_of_its_suffix(self, invoke, folder, options, beginning):
        done = invoke("draw", "split_merge", "-o", *options)
        assert (done.status, done.out) == (0, "")
        assert (folder / options[0]).read_text().startswith(beginning)

    def test_a_file_that_cannot_be_written_is_reported(self, invoke):
        done = invoke("draw", "split_merge", "-o", "nowhere/a.dot")
        assert done.status == 2
        assert "cannot write nowhere/a.dot" in done.err

    def test_an_image_without_graphviz_says_what_to_install(self, dispel4py):
        done = dispel4py("draw", "split_merge", "-o", "a.png", env={"PATH": "/nowhere"})
        assert done.status == 2
        assert "graphviz" in done.err


class TestPlotScaling:
    @pytest.mark.parametrize(
        ("picture", "beginning"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF")]
    )
    def test_the_picture_has_the_format_of_its_suffix(
        self, invoke, write, folder, picture, beginning
    ):
        write("trace.csv", TRACE)
        done = invoke("plot-scaling", "trace.csv", "-o", picture)
        assert (done.status, done.out, done.err) == (0, "", "")
        assert (folder / picture).read_bytes().startswith(beginning)

    def test_it_goes_beside_the_trace_unless_it_is_said_where(self, invoke, write, folder):
        write("traces/trace.csv", TRACE)
        done = invoke("plot-scaling", "traces/trace.csv")
        assert (done.status, done.out) == (0, "")
        assert "traces/trace.png" in done.err
        assert (folder / "traces/trace.png").stat().st_size > 1000

    def test_columns_may_stand_in_any_order_among_others(self, invoke, write):
        write("trace.csv", "backlog,note,active,seconds\n3,burst,2,0.5\n")
        assert invoke("plot-scaling", "trace.csv").status == 0

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "line 1: there is no column seconds, active, backlog"),
            ("seconds,active\n", "line 1: there is no column backlog"),
            ("seconds,active,backlog\n", "line 2: there is no row"),
            ("seconds,active,backlog\n0,1,0\n1,many,0\n", "line 3: active is 'many'"),
            ("seconds,active,backlog\n0,1,0\nnan,1,0\n", "line 3: seconds is 'nan'"),
            ("seconds,active,backlog\n0,-1,0\n", "line 2: active is '-1'"),
            ("seconds,active,backlog\n0,1,0\n\n2,1\n", "line 4: it ends after '2,1'"),
        ],
    )
    def test_what_is_no_trace_is_reported_with_its_line(self, invoke, write, text, reason):
        write("trace.csv", text)
        done = invoke("plot-scaling", "trace.csv")
        assert (done.status, done.out) == (2, "")
        assert f"trace.csv is no scaling trace: {reason}" in done.err

    def test_a_file_that_is_not_text_is_reported(self, invoke, folder):
        (folder / "trace.csv").write_bytes(b"\xff\xfe\x00")
        done = invoke("plot-scaling", "trace.csv")
        assert done.status == 2
        assert "cannot read trace.csv: it is not a text file" in done.err

    def test_a_trace_that_is_not_there_is_reported(self, invoke):
        done = invoke("plot-scaling", "trace.csv")
        assert done.status == 2
        assert "cannot read trace.csv: No such file" in done.err

    @pytest.mark.parametrize("picture", ["nowhere/a.png", "a.doc"])
    def test_a_picture_that_cannot_be_written_is_reported(self, invoke, write, picture):
        write("trace.csv", TRACE)
        done = invoke("plot-scaling", "trace.csv", "-o", picture)
        assert done.status == 2
        assert f"cannot write {picture} (-o)" in done.err

    def test_without_matplotlib_the_pip_line_is_reported(self, dispel4py, write, folder):
        write("trace.csv", TRACE)
        write("hidden/matplotlib.py", "raise ImportError")
        hidden = dict(os.environ, PYTHONPATH=str(folder / "hidden"))
        done = dispel4py("plot-scaling", "trace.csv", env=hidden)
        assert done.status == 2
        assert "pip install 'd4py-cli[plot]'" in done.err


class TestInstalled:
    """`worker` and `runs`, which the package of the Redis mappings brings."""

    @pytest.mark.parametrize("name", ["worker", "runs"])
    def test_they_are_listed_among_the_commands(self, invoke, name):
        out = invoke("--help").out
        assert re.search(rf"^  {name} +\w", out.partition("\ncommands:")[2], re.MULTILINE)

    @pytest.mark.parametrize("name", ["worker", "runs"])
    def test_the_help_says_what_for_and_shows_an_example(self, invoke, name):
        out = invoke(name, "--help").out
        assert f"usage: dispel4py {name} " in out
        assert "on a Redis server, with" in out
        assert f"\n  dispel4py {name} --redis-url redis://HOST:6379" in out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["worker", "-n", "0"], "-n is 0; it must be at least 1"),
            (["worker", "-n", "some"], "invalid int value: 'some'"),
            (["worker", "wf.py"], "unrecognized arguments: wf.py"),
            (["worker", "--key-file"], "--key-file: expected one argument"),
            (["worker"], "the run's key is missing"),
            (["worker", "--redis-url", "host:6379"], "is not the address of a Redis server"),
            (["runs", "--redis-url", "host:6379"], "is not the address of a Redis server"),
            (["runs", "everywhere"], "unrecognized arguments: everywhere"),
        ],
    )
    def test_wrong_usage_ends_with_status_2(self, invoke, arguments, message):
        key = {} if message.startswith("the run's key") else {"D4PY_KEY": "k" * 32}
        done = invoke(*arguments, env={**os.environ, **key})
        assert (done.status, done.out) == (2, "")
        assert message in done.err
        assert "Traceback" not in done.err

    @pytest.mark.parametrize("name", ["worker", "runs"])
    def test_without_the_client_the_pip_line_is_reported(self, dispel4py, write, folder, name):
        write("hidden/sitecustomize.py", "import sys; sys.modules['redis'] = None")
        done = dispel4py(name, env=dict(os.environ, PYTHONPATH=str(folder / "hidden")))
        assert done.status == 2
        assert "pip install 'd4py-mappings-dynamic[redis]'" in done.err

    def test_help_without_the_client_lists_them_with_the_pip_line(self, dispel4py, write, folder):
        write("hidden/sitecustomize.py", "import sys; sys.modules['redis'] = None")
        done = dispel4py("--help", env=dict(os.environ, PYTHONPATH=str(folder / "hidden")))
        assert (done.status, done.err) == (0, "")
        pip = "pip install 'd4py-mappings-dynamic[redis]'"
        assert re.search(rf"^  worker +.*{re.escape(pip)}$", done.out, re.MULTILINE)


class TestHelp:
    def test_the_command_alone_shows_how_to_use_it(self, invoke):
        done = invoke()
        assert (done.status, done.out) == (2, "")
        assert "usage: dispel4py MAPPING WORKFLOW" in done.err

    def test_the_version_is_that_of_the_packages(self, invoke):
        done = invoke("--version")
        assert re.fullmatch(r"dispel4py \d\S* \(d4py-core \d\S*\)\n", done.out)

    @pytest.mark.parametrize("subject", SUBJECTS)
    @pytest.mark.parametrize("option", ["-h", "--help"])
    def test_it_ends_with_status_0_and_fits_a_terminal(self, invoke, subject, option):
        done = invoke(*subject, option)
        assert (done.status, done.err) == (0, "")
        assert "example" in done.out
        assert max(map(len, done.out.splitlines())) <= 100

    @pytest.mark.slow
    def test_the_examples_work(self, invoke, write):
        write("my_workflow.py")
        write("trace.csv", TRACE)
        write("run.jsonl", RUN_LOG)
        write("runs/notes.txt", "")
        examples = []
        for subject in SUBJECTS:
            text = invoke(*subject, "--help").out
            examples += re.findall(r"^  (dispel4py .*)$", text.partition("example")[2], re.M)
        assert len(examples) >= 10
        for example in examples:
            if "Read0" in example:
                write("my_workflow.py", READER)
            if "HOST" in example:  # it needs another host; see TestInstalled
                continue
            # An image of a graph needs graphviz.
            without_graphviz = example.replace("split_merge.svg", "split_merge.dot")
            done = invoke(*shlex.split(without_graphviz)[1:])
            assert done.status == 0, f"{example}: {done.err}"


TRACE = """\
seconds,active,backlog
0.000000,1,0
0.100000,8,92
0.250000,8,0
0.300000,1,0
"""

RUN_LOG = (
    '{"v": 1, "event": "RunStarted", "time": 0.0, "time_utc": "2026-11-30T12:00:00+00:00",'
    ' "mapping": "simple", "processes": 1, "pes": [], "edges": [], "inputs": {}}\n'
)

READER = """
from dispel4py import ProducerPE, WorkflowGraph
class Read(ProducerPE):
    def _process(self, inputs):
        return inputs["path"]
graph = WorkflowGraph()
graph.add(Read())
"""
