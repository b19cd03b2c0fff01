"""The report distinguishes four outcomes: passed, refused by declaration, failed, not run."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from d4py_conformance.cli import main
from d4py_conformance.report import BEGIN, END, Outcome, Record, Report, put_into, together

pytest_plugins = ["pytester"]

FILE = """
    import pytest

    from d4py_conformance.mutants import DeclaresNothing, LastEdgeOnly
    from d4py_conformance.rules.instances import InstanceRules
    from d4py_conformance.rules.workflows import WorkflowRuns


    class Restricted(InstanceRules, WorkflowRuns):
        pass


    class TestSimple(Restricted):
        @pytest.fixture
        def mapping(self):
            return "simple"


    class TestMutant(Restricted):
        @pytest.fixture
        def mapping(self):
            mutant = LastEdgeOnly()
            mutant.name = "mutant"
            return mutant


    class TestModest(Restricted):
        @pytest.fixture
        def mapping(self):
            modest = DeclaresNothing()
            modest.name = "modest"
            return modest


    class TestMissing(Restricted):
        @pytest.fixture
        def mapping(self):
            return "no_such_mapping"
"""
#: A session of pytest that no settings outside of its folder apply to.
PYTEST = (
    *(sys.executable, "-m", "pytest", "-c", os.devnull),
    *("--rootdir=.", "-p", "no:cacheprovider"),
)
#: Which tests are run: two workflows, and one that asks for a capability.
CHOSEN = "teecopy-1 or word_count-1 or i2_all_three"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The folder with the report of a part of the suite on four mappings, by two processes."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "test_four.py").write_text(textwrap.dedent(FILE))
    subprocess.run(
        [*PYTEST, "--conformance-report=out", "-k", CHOSEN, "-n2"],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    return folder / "out"


@pytest.mark.xdist_group("report")
def test_json_has_what_each_test_of_several_processes_has_shown(report):
    found = json.loads((report / "conformance.json").read_text())
    shown = {"modest": "yes", "mutant": "failed", "no_such_mapping": "failed", "simple": "yes"}
    assert found["workflows"]["teecopy"] == shown
    assert found["workflows"]["word_count"] == {
        "modest": "no by declaration",
        "mutant": "yes",
        "no_such_mapping": "failed",
        "simple": "yes",
    }
    assert set(found["workflows"]["split_merge"].values()) == {"not run"}
    assert found["rules"]["I2"]["modest"] == "no by declaration"
    stateful = found["capabilities"]["stateful"]
    assert (stateful["modest"], stateful["mutant"], stateful["simple"]) == (False, True, True)
    # large_teecopy is a teecopy too.
    assert found["mappings"]["mutant"]["tests"] == 4
    failures = [failure for failure in found["failures"] if "TestMissing" not in failure["node"]]
    assert failures
    assert all("teecopy" in failure["node"] for failure in failures)


@pytest.mark.xdist_group("report")
def test_markdown_and_the_page_show_the_same(report):
    lines = (report / "conformance.md").read_text().splitlines()
    assert "| workflow | `modest` | `mutant` | `no_such_mapping` | `simple` |" in lines
    assert "| teecopy | ✓ | ✗ | ✗ | ✓ |" in lines
    assert "| word_count | – | ✓ | ✗ | ✓ |" in lines
    page = (report / "conformance.html").read_text()
    assert 'title="teecopy on mutant: failed">✗<' in page
    assert 'title="word_count on modest: no by declaration">–<' in page
    assert 'title="split_merge on simple: not run">?<' in page
    assert "the results are not what they should be" in page
    for outside in ("http://", "https://", "<script", "<link", "src="):
        assert outside not in page


def test_the_page_escapes_what_a_failure_says():
    record = Record("m", (), "test_x", "t", None, Outcome.FAILED, 0.0, "<b>&")
    assert "&lt;b&gt;&amp;" in Report([record]).as_html()


def test_one_failure_is_one_and_a_success_needs_one():
    yes, refused, failed, not_run = Outcome
    assert together([yes, failed, refused]) is failed
    assert together([refused, yes, not_run]) is yes
    assert together([not_run, refused]) is refused
    assert together([not_run]) is together([]) is not_run


def test_the_matrix_is_put_between_its_marks():
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert put_into(text, "\nnew\n\n") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(ValueError, match="add these two lines"):
        put_into("before\nafter\n", "new")


def test_a_file_without_a_place_for_the_matrix_is_refused_before_any_test(pytester):
    pytester.makepyfile(textwrap.dedent(FILE))
    file = pytester.makefile(".md", "no marks")
    result = pytester.runpytest_inprocess(f"--conformance-matrix={file}", "-p", "no:xdist")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*there is no place for the table*"])


def test_command_tests_installed_mappings_anywhere(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "README.md").write_text(f"{BEGIN}\n{END}\n")

    chosen = ["--", "-k", "simple and teecopy-1", "-q"]
    status = main(["report", "--into=README.md", "--output=out", *chosen])

    assert status == 0, capfd.readouterr()
    assert "| teecopy | ✓ |" in (tmp_path / "README.md").read_text()
    found = json.loads((tmp_path / "out" / "conformance.json").read_text())
    assert found["workflows"]["teecopy"] == {"simple": "yes"}
