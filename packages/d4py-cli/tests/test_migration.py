"""`dispel4py check --migrate`, and the warning where stream-d4py is installed as well."""

import re

import pytest

import dispel4py

OLD = """
    import helpers
    import dispel4py.new.processor as processor
    from dispel4py.base import CompositePE, IterativePE
    from dispel4py.core import GenericPE, WRITER
    from dispel4py.new.aggregate import CountPE
    from dispel4py.new.mpi_process import MPIWrapper
    from dispel4py.new.simple_process import process_and_return
    from dispel4py.new.spark_process import process
    from dispel4py.provenance import ProvenanceType
    from dispel4py.workflow_graph import WorkflowGraph, drawDot

    raise SystemExit("this is not run")

    class Chain(CompositePE):
        pass

    graph = WorkflowGraph()
    graph.flatten()
    processor.GenericWrapper(1)
    processor.STATUS_TERMINATED
    graph.outputconnections["output"]["writer"] = 1
"""


@pytest.fixture
def old(write):
    """Write a workflow of dispel4py, and a module beside it that it imports."""
    write("helpers.py", "from dispel4py.new.logger import print_stack_trace")
    write("old.py", OLD)


def rows(text):
    """Return what the tables list: place → (what, instead)."""
    found = re.findall(r"^(\w+\.py:\d+) +(.+?)  +(.+)$", text, re.MULTILINE)
    return {place: (what, instead) for place, what, instead in found}


def test_what_is_gone_is_listed_with_what_to_write(invoke, old):
    done = invoke("check", "old.py", "--migrate")

    gone = rows(done.out.partition("changed")[0])
    assert (done.status, done.err) == (2, "")
    assert {place: what for place, (what, _) in gone.items()} == {
        "old.py:7": "dispel4py.new.mpi_process.MPIWrapper",
        "old.py:9": "dispel4py.new.spark_process",
        "old.py:10": "dispel4py.provenance",
        "old.py:20": "dispel4py.new.processor.GenericWrapper",
        "helpers.py:1": "dispel4py.new.logger",
    }
    assert "dispel4py.mapping" in gone["old.py:7"][1]
    assert "multi, mpi or hybrid_redis" in gone["old.py:9"][1]
    assert "self.log" in gone["helpers.py:1"][1]


def test_what_is_changed_is_listed_and_no_failure(invoke, write):
    write("old.py", OLD.replace("helpers", "os"))
    out = invoke("check", "old.py", "--migrate").out

    changed = rows(out.partition("changed")[2])
    assert set(changed) == {"old.py:15", "old.py:19", "old.py:22"}
    assert "dispel4py.testing.feed" in changed["old.py:22"][1]


def test_a_workflow_that_needs_no_change_gets_the_next_command(invoke, write):
    write("new.py", "from dispel4py import *\nimport dispel4py.base\ngraph = WorkflowGraph()\n")
    done = invoke("check", "new", "--migrate")

    assert done.status == 0
    assert "dispel4py check new --try 10" in done.out


@pytest.mark.parametrize(
    "name", ["split_merge", "split_merge.py", "d4py_examples.graph_testing.split_merge"]
)
def test_examples_and_modules_are_read_as_well(invoke, name):
    assert invoke("check", name, "--migrate").status == 0


@pytest.mark.parametrize("name", ["no_such", "no.such.module", "no/such.py"])
def test_no_such_workflow_is_an_error(invoke, name):
    done = invoke("check", name, "--migrate")

    assert done.status == 2
    assert "no such file, module or example" in done.err


@pytest.mark.parametrize(
    ("line", "gone", "instead"),
    [
        (
            "from dispel4py.GenericPE import GenericPE",
            "GenericPE.GenericPE",
            "from dispel4py import",
        ),
        (
            "from dispel4py.base import NAME",
            "dispel4py.base.NAME",
            "from dispel4py.core import NAME",
        ),
        ("from dispel4py.seismo.seismo import *", "dispel4py.seismo.seismo", "ObsPy"),
        ("from dispel4py.provenance import *", "dispel4py.provenance", "item_ids"),
        ("from dispel4py.storm import client", "dispel4py.storm", "hybrid_redis"),
        ("from cStringIO import StringIO", "cStringIO", "io of Python 3"),
        ("import urllib2", "urllib2", "urllib.request of Python 3"),
    ],
)
def test_names_of_older_versions_are_listed(invoke, write, line, gone, instead):
    write("old.py", line)
    (found,) = rows(invoke("check", "old.py", "--migrate").out).values()

    assert found[0].endswith(gone)
    assert instead in found[1]


def test_a_file_that_python_3_cannot_decode_is_named(invoke, folder):
    (folder / "old.py").write_bytes("# café\n".encode("latin-1"))
    done = invoke("check", "old.py", "--migrate")
    assert done.status == 2
    assert "old.py:1   no Python 3: the text is not UTF-8   save it in UTF-8, or" in done.out


def test_keywords_of_write_that_are_not_used_are_listed(invoke, write):
    write("old.py", "self.write('output', 1, metadata={}, location='')\nfile.write(1, format=2)\n")
    out = invoke("check", "old.py", "--migrate").out

    assert re.findall(r"old.py:(\d) +(\w+)= of write", out) == [
        ("1", "metadata"),
        ("1", "location"),
    ]


def test_python_2_is_named_with_its_line(invoke, write):
    write("two.py", "import os\nprint 'hello'\n")
    done = invoke("check", "two.py", "--migrate")

    assert done.status == 2
    assert "two.py:2" in done.out
    assert "2to3" in done.out


@pytest.mark.parametrize(
    ("folder", "shown"),
    [
        ("stream_d4py-2.9.1.dist-info", "stream-d4py 2.9.1"),
        ("dispel4py-1.0-py3.11.egg-info", "dispel4py 1.0"),
    ],
)
def test_another_owner_of_the_package_is_a_warning(invoke, tmp_path, monkeypatch, folder, shown):
    (tmp_path / folder).mkdir()
    monkeypatch.setattr(dispel4py, "__file__", str(tmp_path / "dispel4py" / "__init__.py"))
    done = invoke("simple", "pipeline_test", "-q")

    assert done.status == 0
    assert f"warning: {shown} is installed too" in done.err
    assert "--force-reinstall" in done.err


def test_without_another_owner_there_is_no_warning(invoke):
    assert "warning" not in invoke("simple", "pipeline_test", "-q").err
