"""Workflows are found by path, by module name and, failing that, among the examples."""

import errno
import json
import os
import pickle
import subprocess
import sys
import textwrap
import traceback
from pathlib import Path

import pytest

from dispel4py import loading
from dispel4py.errors import WorkflowLoadError
from dispel4py.loading import EXAMPLES, load_graph, load_module, loaded_sources, source_of
from dispel4py.workflow_graph import WorkflowGraph

ONE_GRAPH = """
from dispel4py import IterativePE, ProducerPE, WorkflowGraph

class Source(ProducerPE):
    pass

class Step(IterativePE):
    pass

graph = WorkflowGraph()
graph.connect(Source(), "output", Step(), "input")
"""


@pytest.fixture(autouse=True)
def leave_no_trace(monkeypatch):
    """Modules and paths of one test are not there in the next."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(loading, "_SOURCES", {})
    monkeypatch.delitem(sys.modules, "wf", raising=False)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(folder):
    """Writes a file of the current folder."""

    def write_file(name, text=ONE_GRAPH):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def example(folder, monkeypatch):
    """Puts one example workflow where those that ship with d4py would be."""
    shipped = folder / "shipped"
    package = shipped.joinpath(*EXAMPLES.split("."))
    package.mkdir(parents=True)
    for inside in package, package.parent:
        (inside / "__init__.py").touch()
    (package / "split_merge.py").write_text(ONE_GRAPH)
    for name in [name for name in sys.modules if name.startswith(EXAMPLES.partition(".")[0])]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(shipped)
    return package / "split_merge.py"


def names_in(graph):
    return [pe.name for pe in graph.get_contained_objects()]


def message_of(target, attr=None):
    with pytest.raises(WorkflowLoadError) as caught:
        load_graph(target, attr)
    assert caught.value.exit_status == 2
    return str(caught.value)


class TestWhatIsFound:
    @pytest.mark.parametrize("target", ["wf.py", "wf", "./wf.py", "./wf"])
    def test_a_file_is_found_with_and_without_its_suffix(self, write, target):
        write("wf.py")
        assert names_in(load_graph(target)) == ["Source", "Step"]

    def test_a_file_is_found_by_its_absolute_path(self, write):
        assert names_in(load_graph(str(write("deep/down/wf.py")))) == ["Source", "Step"]

    def test_a_file_without_a_suffix_is_found(self, write):
        write("script")
        assert names_in(load_graph("script")) == ["Source", "Step"]

    def test_a_module_of_a_package_in_the_current_folder_is_found(self, write):
        write("pack/__init__.py", "")
        write("pack/wf.py")
        loaded = load_module("pack.wf")
        assert loaded.module is sys.modules["pack.wf"]
        assert names_in(loaded.graph()) == ["Source", "Step"]

    @pytest.mark.parametrize("target", ["split_merge", "split_merge.py"])
    def test_an_example_is_found_by_its_bare_name(self, example, target):
        loaded = load_module(target)
        assert loaded.is_example
        assert loaded.module.__file__ == str(example)

    @pytest.mark.parametrize("target", ["split_merge", "split_merge.py"])
    def test_a_file_goes_before_the_example_of_its_name(self, example, write, target):
        mine = write("split_merge.py")
        loaded = load_module(target)
        assert not loaded.is_example
        assert loaded.module.__file__ == str(mine)

    def test_a_path_never_means_an_example(self, example):
        assert "no such file" in message_of("./split_merge.py")


class TestImport:
    def test_what_is_imported_is_imported_once(self, write, capsys):
        write("wf.py", "print('imported')\n" + ONE_GRAPH)
        assert load_module("wf.py").module is load_module("wf").module
        assert capsys.readouterr().out == "imported\n"

    def test_a_file_that_was_changed_is_imported_again(self, write):
        write("wf.py")
        load_graph("wf.py")
        write("wf.py", ONE_GRAPH.replace("Step", "Other"))
        assert names_in(load_graph("wf.py")) == ["Source", "Other"]

    def test_a_file_that_an_import_statement_found_first_is_not_imported_again(self, write, capsys):
        write("wf.py", "print('imported')\n" + ONE_GRAPH)
        write("other.py", "import wf\n" + ONE_GRAPH)
        load_graph("other.py")
        load_graph("wf.py")
        assert capsys.readouterr().out == "imported\n"

    def test_a_helper_beside_the_file_can_be_imported(self, write):
        write("deep/helper.py", ONE_GRAPH)
        write("deep/wf.py", "from helper import graph")
        assert names_in(load_graph("deep/wf.py")) == ["Source", "Step"]

    def test_a_helper_may_import_the_workflow(self, write, capsys):
        write("helper.py", "import wf\nprint('helper')")
        write("wf.py", "print('wf')\n" + ONE_GRAPH + "import helper\n")
        load_graph("wf.py")
        assert capsys.readouterr().out == "wf\nhelper\n"

    def test_classes_of_a_file_can_be_pickled(self, write):
        write("my-flow.v2.py")
        pe = load_graph("my-flow.v2.py").get_contained_objects()[0]
        assert type(pickle.loads(pickle.dumps(pe))) is type(pe)

    def test_two_files_of_one_name_live_side_by_side(self, write):
        write("a/wf.py")
        write("b/wf.py", ONE_GRAPH.replace("Step", "Other"))
        for graph in load_graph("a/wf.py"), load_graph("b/wf.py"):
            pe = graph.get_contained_objects()[1]
            assert type(pickle.loads(pickle.dumps(pe))) is type(pe)

    @pytest.mark.parametrize("name", ["random", "pytest", "colorsys"])
    def test_a_file_named_like_another_module_does_not_hide_it(self, write, name):
        write(f"{name}.py", f"import {name} as real\n" + ONE_GRAPH)
        already = sys.modules.get(name)
        loaded = load_module(f"{name}.py")
        assert names_in(loaded.graph()) == ["Source", "Step"]
        assert loaded.module.real is sys.modules[name] is not loaded.module
        assert already in (None, sys.modules[name])
        pe = loaded.graph().get_contained_objects()[0]
        assert type(pickle.loads(pickle.dumps(pe))) is type(pe)

    def test_a_file_in_another_encoding_is_read(self, folder):
        text = "# -*- coding: latin-1 -*-\nname = 'Zoë'\n" + ONE_GRAPH
        (folder / "wf.py").write_bytes(text.encode("latin-1"))
        assert load_module("wf.py").module.name == "Zoë"

    def test_nothing_is_written_beside_the_file(self, write, folder):
        write("wf.py")
        load_graph("wf.py")
        assert os.listdir(folder) == ["wf.py"]


class TestElsewhere:
    def test_a_module_is_restored_where_its_file_is_not(self, write, folder):
        write("random.py", ONE_GRAPH + "def fail():\n    raise ValueError('here')\n")
        loaded = load_module("random.py")
        pe = pickle.dumps(loaded.graph().get_contained_objects()[1])
        sent = pickle.dumps((source_of(loaded.module.__name__), pe))
        (folder / "random.py").unlink()
        (folder / "sent").write_bytes(sent)
        script = """
            import pickle, sys, traceback, random
            from dispel4py.loading import restore_module, source_of
            source, pe = pickle.load(open("sent", "rb"))
            module = restore_module(*source)
            assert restore_module(*source) is module
            assert source_of(module.__name__) == source
            assert type(pickle.loads(pe)) is module.Step
            assert random.random() < 1
            try:
                module.fail()
            except ValueError:
                assert "raise ValueError('here')" in traceback.format_exc()
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=30)

    def test_all_that_was_loaded_from_files_can_be_asked_for(self, write):
        write("a/wf.py")
        write("b/wf.py")
        names = [load_module(f"{folder}/wf.py").module.__name__ for folder in "ab"]
        sources = {source[0]: source for source in loaded_sources()}
        assert [sources[name] for name in names] == [source_of(name) for name in names]

    def test_what_was_imported_by_name_has_no_source_to_send(self):
        assert source_of("json") is None
        assert source_of("no_such_module") is None


class TestChoiceOfGraph:
    def test_one_graph_under_two_names_is_one_graph(self, write):
        write("wf.py", ONE_GRAPH + "same = graph\n")
        assert names_in(load_graph("wf.py")) == ["Source", "Step"]

    def test_a_graph_inside_another_does_not_count(self, write):
        write(
            "wf.py",
            ONE_GRAPH
            + """
from dispel4py import create_iterative_chain
inner = create_iterative_chain([abs])
middle = WorkflowGraph()
middle.add(inner)
middle.inputmappings["input"] = (inner, "input")
graph.connect(graph.get_contained_objects()[1], "output", middle, "input")
""",
        )
        assert load_graph("wf.py") is load_module("wf.py").module.graph

    def test_a_composite_does_not_count_beside_a_graph(self, write):
        write("wf.py", ONE_GRAPH + "from dispel4py import *\nc = create_iterative_chain([abs])\n")
        assert load_graph("wf.py") is load_module("wf.py").module.graph

    def test_a_composite_alone_is_taken(self, write):
        write("wf.py", "from dispel4py import *\nc = create_iterative_chain([abs])\n")
        assert isinstance(load_graph("wf.py"), WorkflowGraph)

    def test_the_name_decides_between_several(self, write):
        write("wf.py", ONE_GRAPH + "other = WorkflowGraph()\n")
        assert names_in(load_graph("wf.py", "graph")) == ["Source", "Step"]
        assert names_in(load_graph("wf.py", "other")) == []

    def test_several_graphs_are_refused_with_their_names(self, write):
        write("wf.py", ONE_GRAPH + "other = WorkflowGraph()\n")
        message = message_of("wf.py")
        assert "'graph' and 'other'" in message
        assert "-a graph" in message

    def test_no_graph_is_refused(self, write):
        write("wf.py", "x = 1")
        assert "no WorkflowGraph in wf.py" in message_of("wf.py")

    def test_a_name_that_is_not_there_is_refused_with_those_that_are(self, write):
        write("wf.py")
        assert message_of("wf.py", "grpah") == "there is no 'grpah' in wf.py (graphs: 'graph')"

    def test_a_name_of_something_else_is_refused(self, write):
        write("wf.py", ONE_GRAPH + "size = 3\n")
        assert "of type int, not a graph (graphs: 'graph')" in message_of("wf.py", "size")


class TestWhatIsMissing:
    def test_the_error_lists_the_nearest_names(self, write, example):
        write("my_flow.py")
        assert "did you mean 'my_flow'?" in message_of("my_flwo.py")
        assert "did you mean 'split_merge'?" in message_of("spilt_merge")

    def test_a_file_with_another_suffix_is_an_error(self, write):
        write("wf.ipynb", "{}")
        assert "'wf.ipynb', but a workflow is a .py file" in message_of("wf.py")
        assert "this is a .ipynb file" in message_of("wf.ipynb")

    def test_a_missing_folder_is_an_error(self, folder):
        assert "no folder 'nowhere'" in message_of("nowhere/wf.py")

    def test_a_folder_is_refused_with_the_files_in_it(self, write):
        write("flows/wf.py")
        assert "it is a folder (Python files in it: 'wf.py')" in message_of("flows")

    def test_a_link_that_leads_nowhere_is_named(self, folder):
        (folder / "wf.py").symlink_to("gone/flow.py")
        assert "wf.py is a link to 'gone/flow.py', which is not there" in message_of("wf.py")
        assert "wf.py is a link to 'gone/flow.py', which is not there" in message_of("wf")

    def test_an_empty_name_is_named(self, folder):
        assert message_of("") == "no workflow '': the name is empty"

    def test_a_name_that_is_too_long_is_an_error(self, folder):
        assert "name too long" in message_of("x" * 5000)

    def test_a_file_with_a_slash_at_its_end_is_an_error(self, write):
        write("wf.py")
        assert "it is a file; write 'wf.py'" in message_of("wf.py/")

    def test_what_is_no_regular_file_is_an_error(self, folder):
        assert "this is a pipe or a device" in message_of(os.devnull)

    def test_a_folder_that_cannot_be_read_is_an_error(self, write, monkeypatch):
        write("flows/wf.py")

        def refuse(self):
            raise PermissionError(errno.EACCES, "Permission denied", str(self))

        monkeypatch.setattr(Path, "iterdir", refuse)
        assert "flows/other.py': Permission denied" in message_of("flows/other.py")

    @pytest.mark.parametrize("target", ["", ".", "..", "no.such.module", "json.decoder.x", "a b"])
    def test_no_name_breaks_the_search(self, folder, target):
        assert message_of(target).startswith(f"no workflow {target!r}: ")

    def test_an_unreadable_file_is_an_error(self, write, monkeypatch):
        path = write("wf.py")
        path.unlink()
        path.symlink_to("/proc/self/mem")
        if path.is_file():
            assert "cannot read wf.py" in message_of("wf.py")


class TestWhatRaises:
    @pytest.fixture
    def failing(self, write):
        def check(text, target="wf.py"):
            write("wf.py", text)
            with pytest.raises(WorkflowLoadError) as caught:
                load_graph(target)
            assert "loading.py" not in caught.value.user_traceback
            assert "importlib" not in caught.value.user_traceback
            return caught.value

        return check

    @pytest.mark.parametrize("target", ["wf.py", "wf"])
    def test_the_error_has_the_traceback_of_the_users_code(self, failing, target):
        error = failing("def f():\n    return 1 / 0\nf()", target)
        assert str(error) == f"cannot import {target}: ZeroDivisionError: division by zero"
        frames = [line for line in error.user_traceback.splitlines() if "File" in line]
        assert len(frames) == 2
        assert "line 3, in <module>" in frames[0]
        assert "line 2, in f" in frames[1]
        assert "return 1 / 0" in error.user_traceback

    def test_a_syntax_error_is_shown_with_its_line(self, failing):
        error = failing("x = 1\nif x\n")
        assert "SyntaxError" in str(error)
        assert 'wf.py", line 2\n    if x\n' in error.user_traceback

    def test_frames_of_d4py_are_left_out_where_it_refuses_what_a_workflow_does(self, failing):
        text = "from dispel4py import ProducerPE, WorkflowGraph\nWorkflowGraph().add(ProducerPE)"
        error = failing(text)
        assert 'wf.py", line 2' in error.user_traceback
        assert "workflow_graph.py" not in error.user_traceback

    def test_a_relative_import_is_answered_with_what_to_write(self, failing):
        error = failing("from .helper import x")
        assert str(error).endswith("or from name import …, for the file name.py beside it")

    def test_in_a_package_it_is_answered_with_the_name_of_the_module(self, write, folder):
        for name in ("ours/__init__.py", "ours/flows/__init__.py"):
            write(name, "")
        write("ours/flows/wf.py", "from ..helper import x")
        message = message_of("ours/flows/wf.py")
        assert message.endswith(
            f"ours.flows.wf, and start in the folder {os.path.realpath(folder)}"
        )

    def test_a_binary_file_is_an_error(self, folder):
        (folder / "wf.py").write_bytes(b"x = '\xff\xfe'")
        with pytest.raises(WorkflowLoadError, match=r"cannot import wf\.py: ") as caught:
            load_graph("wf.py")
        assert "File" not in caught.value.user_traceback

    @pytest.mark.parametrize(
        ("statement", "reason"),
        [
            ("import sys; sys.exit()", "exited with status 0, before there was a workflow"),
            ("raise SystemExit(3)", "exited with status 3, before there was a workflow"),
            ("raise SystemExit(True)", "exited with status 1, before there was a workflow"),
            ("import sys; sys.exit('no data today')", "exited: no data today"),
            ("import sys; sys.exit('')", "exited with status 1, before there was a workflow"),
            ("raise SystemExit(Mute())", "exited: <message str() failed>"),
            ("raise Coded('no data')", "exited: no data"),
            pytest.param(
                "raise SystemExit(10**5000)",
                "exited with status <status str() failed>, before there was a workflow",
                id="a number too long to be shown",
            ),
        ],
    )
    def test_one_that_exits_is_answered_with_the_line_and_no_traceback(
        self, failing, statement, reason
    ):
        text = f"""\
            class Mute:
                def __str__(self):
                    return 1 / 0

            class Coded(SystemExit):
                code = property(Mute.__str__)

            def main():
                {statement}

            main()
            """
        error = failing(text)
        assert str(error) == f"cannot import wf.py: line 11 of wf.py {reason}"
        assert error.user_traceback == ""

    def test_one_that_misses_arguments_is_answered_with_how_to_give_them(self, failing, capsys):
        error = failing(
            """\
            import argparse
            parser = argparse.ArgumentParser()
            parser.add_argument("--station", required=True)
            parser.parse_args([])
            """
        )
        assert str(error) == (
            "cannot import wf.py: line 4 of wf.py exited with status 2, before there was a"
            " workflow; arguments of its own come after --: dispel4py MAPPING wf.py -- ARGUMENTS"
        )
        assert error.user_traceback == ""
        assert "required: --station" in capsys.readouterr().err

    def test_an_exit_in_a_module_that_it_imports_is_answered_with_its_own_line(self, write):
        write("reader.py", "raise SystemExit(1)")
        write("wf.py", "x = 1\nimport reader")
        assert "line 2 of wf.py exited with status 1" in message_of("wf.py")

    def test_an_exit_in_the_package_around_it_is_answered_with_its_line(self, write):
        write("pack/__init__.py", "x = 1\nraise SystemExit(1)")
        write("pack/wf.py")
        assert "line 2 of __init__.py exited with status 1" in message_of("pack.wf")

    def test_a_missing_import_is_not_a_missing_workflow(self, failing):
        error = failing("import no_such_module_anywhere")
        assert "No module named 'no_such_module_anywhere'" in str(error)

    @pytest.mark.parametrize(
        "statement",
        [
            "from dispel4py.seismo.seismo import SeismoPE",
            "import dispel4py.GenericPE",
            "from dispel4py.base import NoSuchPE",
        ],
    )
    def test_a_part_of_dispel4py_that_is_gone_is_answered_with_the_command(
        self, failing, statement
    ):
        error = failing(statement)
        assert str(error).endswith("for what took its place: dispel4py check --migrate wf.py")

    def test_the_error_names_a_module_that_raises(self, write):
        write("pack/__init__.py", "1 / 0")
        write("pack/wf.py")
        assert "cannot import pack.wf: ZeroDivisionError" in message_of("pack.wf")

    def test_ctrl_c_is_no_load_error(self, write):
        write("wf.py", "raise KeyboardInterrupt")
        with pytest.raises(KeyboardInterrupt):
            load_graph("wf.py")

    def test_a_file_that_raised_can_be_loaded_once_it_is_right(self, failing, write):
        failing("1 / 0")
        assert "wf" not in sys.modules
        write("wf.py")
        assert names_in(load_graph("wf.py")) == ["Source", "Step"]

    def test_the_cause_is_kept(self, failing):
        error = failing("[][0]")
        assert "IndexError" in "".join(traceback.format_exception(error.__cause__))


def test_c7_a_module_that_is_executed_again_keeps_no_graph(tmp_path):
    flow = tmp_path / "executed_again.py"
    flow.write_text(
        ONE_GRAPH
        + textwrap.dedent(
            """
            import weakref

            alone, used, numbers = Step(), Step(), [1]
            gone = weakref.proxy(Step())

            def look():
                return used
            """
        )
    )
    source = source_of(load_module(str(flow)).module.__name__)
    program = textwrap.dedent(
        """
        import json, sys
        from dispel4py.loading import release_graphs, restore_module

        module = restore_module(*json.load(sys.stdin))
        release_graphs()
        print(*[name for name in ("graph", "alone", "used", "numbers", "gone")
                 if name in vars(module)])
        print(module.look() is module.used)
        """
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(source),
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["used", "numbers", "gone", "True"]
