"""The table of tests in a page: what has passed, failed and was skipped in each run."""

import pytest

from d4py_conformance.cli import main

PAGE = """# A page

<!-- table of tests: begin; written by `make this` -->
old
<!-- table of tests: end -->
after
"""
RESULTS = {
    "one.xml": """
<testsuites><testsuite>
  <testcase classname="packages.tests.test_store.TestReads" name="a"/>
  <testcase classname="packages.tests.test_store" name="b"><skipped/></testcase>
  <testcase classname="packages.tests.test_remote_workers" name="c"><failure/></testcase>
</testsuite></testsuites>""",
    "more.xml": """
<testsuites><testsuite>
  <testcase classname="packages.tests.test_store" name="d"/>
</testsuite></testsuites>""",
    "two.xml": """
<testsuites><testsuite>
  <testcase classname="packages.tests.test_store" name="a"/>
</testsuite></testsuites>""",
}


@pytest.fixture
def table(tmp_path):
    """Calls the command on a page with these runs; returns its status."""
    (tmp_path / "page.md").write_text(PAGE)
    for name, text in RESULTS.items():
        (tmp_path / name).write_text(text)

    def table(*runs, target="make this"):
        given = [f"{run}={tmp_path / name}" for run, name in runs]
        options = ["--target", target, "--library", "pytest"]
        return main(["test-table", "--into", str(tmp_path / "page.md"), *options, *given])

    return table


def test_the_table_has_a_column_for_each_run(table, tmp_path):
    assert table(("Redis 7", "one.xml"), ("Redis 7", "more.xml"), ("Valkey 9", "two.xml")) == 0
    page = (tmp_path / "page.md").read_text()
    assert "old" not in page
    assert page.endswith("<!-- table of tests: end -->\nafter\n")
    assert "| tests | Redis 7 | Valkey 9 |\n| --- | --- | --- |\n" in page
    assert "| store | 2 (1 skipped) | 1 |\n| remote workers | 0 (1 failed) | not run |\n" in page
    assert f"pytest {pytest.__version__}." in page


def test_a_page_without_a_place_for_it_is_an_error(table, capsys):
    assert table(("Redis 7", "one.xml"), target="make other") == 2
    assert "add these two lines:\n<!-- table of tests: begin" in capsys.readouterr().err


def test_a_run_without_a_file_is_an_error(table, capsys):
    assert table(("Redis 7", "nothing.xml")) == 2
    assert "is not a name and a file" in capsys.readouterr().err
