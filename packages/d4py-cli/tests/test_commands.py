"""`mappings`, `check`, `draw`, and the help texts."""

import re
import shlex

import pytest


class TestMappings:
    def test_each_is_listed_with_what_brings_it_and_what_it_can_do(self, dispel4py):
        done = dispel4py("mappings")
        assert (done.status, done.err) == (0, "")
        (line,) = [line for line in done.out.splitlines() if line.startswith("simple ")]
        assert re.search(r"d4py-core \d+\.\d+", line)
        assert "stateful, group_by, broadcast" in line

    def test_an_alias_says_whose_it_is(self, dispel4py):
        lines = dispel4py("mappings").out.splitlines()
        (line,) = [line for line in lines if line.startswith("redis ")]
        assert "another name of hybrid_redis" in line

    def test_every_known_mapping_is_there_or_has_its_pip_line(self, dispel4py):
        out = dispel4py("mappings").out
        for name in ("multi", "zmq_multi", "mpi", "dyn_multi", "dyn_redis", "hybrid_redis"):
            (line,) = [line for line in out.splitlines() if line.startswith(f"{name} ")]
            assert re.search(r"d4py-\S+ \d+\.\d+", line) or "pip install 'd4py-" in line

    def test_it_takes_no_workflow(self, dispel4py):
        done = dispel4py("mappings", "wf.py")
        assert done.status == 2
        assert "wf.py" in done.err


class TestCheck:
    def test_pes_and_mappings_are_listed(self, dispel4py):
        done = dispel4py("check", "split_merge")
        assert done.status == 0
        assert "split_merge can run: 4 PEs, 4 edges\n" in done.out
        assert re.search(
            r"^TestTwoInOneOut3 +1 +TestOneInOneOut1, TestOneInOneOutWriter2$", done.out, re.M
        )
        assert re.search(r"^simple +yes$", done.out, re.MULTILINE)
        assert "this is the example" in done.err

    def test_stateful_pes_are_named_with_the_reason(self, dispel4py):
        done = dispel4py("check", "word_count")
        assert done.status == 0
        assert re.search(
            r"WordCounter1 .* its input 'input' has the grouping \[0\]$", done.out, re.M
        )

    def test_nothing_is_run(self, dispel4py, write):
        write("wf.py", "from dispel4py import *\ngraph = WorkflowGraph()\ngraph.add(ProducerPE())")
        assert dispel4py("check", "wf.py").status == 0


class TestDraw:
    def test_the_default_is_dot_on_stdout(self, dispel4py):
        done = dispel4py("draw", "split_merge")
        assert done.status == 0
        assert done.out.startswith("digraph")
        assert "TestProducer0" in done.out

    def test_mermaid_can_be_asked_for(self, dispel4py):
        assert dispel4py("draw", "split_merge", "--mermaid").out.startswith("flowchart")

    @pytest.mark.parametrize(
        ("options", "beginning"),
        [(["a.dot"], "digraph"), (["a.mmd"], "flowchart"), (["a.txt", "--mermaid"], "flowchart")],
    )
    def test_the_file_has_the_format_of_its_suffix(self, dispel4py, folder, options, beginning):
        done = dispel4py("draw", "split_merge", "-o", *options)
        assert (done.status, done.out) == (0, "")
        assert (folder / options[0]).read_text().startswith(beginning)

    def test_a_file_that_cannot_be_written_is_told(self, dispel4py):
        done = dispel4py("draw", "split_merge", "-o", "nowhere/a.dot")
        assert done.status == 2
        assert "cannot write nowhere/a.dot" in done.err

    def test_an_image_without_graphviz_says_what_to_install(self, dispel4py):
        done = dispel4py("draw", "split_merge", "-o", "a.png", env={"PATH": "/nowhere"})
        assert done.status == 2
        assert "graphviz" in done.err


class TestHelp:
    def test_the_command_alone_shows_how_to_use_it(self, dispel4py):
        done = dispel4py()
        assert (done.status, done.out) == (2, "")
        assert "usage: dispel4py MAPPING WORKFLOW" in done.err

    def test_the_version_is_that_of_the_packages(self, dispel4py):
        done = dispel4py("--version")
        assert re.fullmatch(r"dispel4py \d\S* \(d4py-core \d\S*\)\n", done.out)

    @pytest.mark.parametrize(
        "subject", [[], ["simple"], ["hybrid_redis"], ["mappings"], ["check"], ["draw"]]
    )
    @pytest.mark.parametrize("option", ["-h", "--help"])
    def test_it_ends_with_status_0_and_fits_a_terminal(self, dispel4py, subject, option):
        done = dispel4py(*subject, option)
        assert (done.status, done.err) == (0, "")
        assert "example" in done.out
        assert max(map(len, done.out.splitlines())) <= 100

    def test_the_examples_work(self, dispel4py, write):
        write("my_workflow.py")
        examples = []
        for subject in [], ["simple"], ["hybrid_redis"], ["mappings"], ["check"], ["draw"]:
            text = dispel4py(*subject, "--help").out
            examples += re.findall(r"^  (dispel4py .*)$", text.partition("example")[2], re.M)
        assert len(examples) >= 9
        for example in examples:
            if "Read0" in example:
                write("my_workflow.py", READER)
            # An image needs graphviz.
            done = dispel4py(*shlex.split(example.replace(".svg", ".dot"))[1:])
            assert done.status == 0, f"{example}: {done.err}"


READER = """
from dispel4py import ProducerPE, WorkflowGraph
class Read(ProducerPE):
    def _process(self, inputs):
        return inputs["path"]
graph = WorkflowGraph()
graph.add(Read())
"""
