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
    "core.xml": """
<testsuites><testsuite>
  <testcase classname="packages.d4py-core.tests.test_plan" name="test_workflow"/>
  <testcase classname="" name="packages.d4py-core.tests.test_arrays"><skipped/></testcase>
</testsuite></testsuites>""",
    "workflows.xml": """
<testsuites><testsuite>
  <testcase classname="conformance.tests.TestInstalledMappings" name="test_workflow[multi-a-1]"/>
  <testcase classname="conformance.tests.TestInstalledMappings" name="test_workflow[multi-a-2]"/>
  <testcase classname="conformance.tests.TestInstalledMappings" name="test_m2_items[multi]"/>
  <testcase classname="conformance.tests.TestInstalledMappings" name="test_workflow[dyn_redis-a]">
    <skipped/></testcase>
</testsuite></testsuites>""",
}


@pytest.fixture
def table(tmp_path):
    """Calls the command on a page with these runs; returns its status."""
    (tmp_path / "page.md").write_text(PAGE)
    for name, text in RESULTS.items():
        (tmp_path / name).write_text(text)

    def table(*runs, target="make this", options=("--library", "pytest")):
        given = [f"{run}={tmp_path / name}" for run, name in runs]
        options = ["--target", target, *options]
        return main(["test-table", "--into", str(tmp_path / "page.md"), *options, *given])

    return table


def test_the_table_has_a_column_for_each_run(table, tmp_path):
    assert table(("Redis 7", "one.xml"), ("Redis 7", "more.xml"), ("Valkey 9", "two.xml")) == 0
    page = (tmp_path / "page.md").read_text()
    assert "old" not in page
    assert page.endswith("<!-- table of tests: end -->\nafter\n")
    assert "| tests | Redis 7 | Valkey 9 |\n| --- | --- | --- |\n" in page
    assert "| remote workers | 0 (1 failed) | not run |\n| store | 2 (1 skipped) | 1 |\n" in page
    assert f"pytest {pytest.__version__}." in page


def test_the_table_of_mappings_has_a_row_for_each_run(table, tmp_path):
    runs = (
        ("Python 3.11", "core.xml"),
        ("Python 3.11", "workflows.xml"),
        ("Python 3.12", "core.xml"),
    )
    assert table(*runs, options=["--by", "mapping"]) == 0
    page = (tmp_path / "page.md").read_text()
    assert "| tests | `d4py-core` | `dyn_redis` | `multi` |\n" in page
    assert "| Python 3.11 | 1 (1 skipped) | 0 (1 skipped) | 3 |\n" in page
    assert "| Python 3.12 | 1 (1 skipped) | not run | not run |\n" in page


def test_a_page_without_a_place_for_it_is_an_error(table, capsys):
    assert table(("Redis 7", "one.xml"), target="make other") == 2
    assert "add these two lines:\n<!-- table of tests: begin" in capsys.readouterr().err


def test_a_run_without_a_file_is_an_error(table, capsys):
    assert table(("Redis 7", "nothing.xml")) == 2
    assert "is not a name and a file" in capsys.readouterr().err
