"""The rows of ``make bench``: their programs run and agree, and what is missing is told."""

from operator import attrgetter

import pytest

from d4py_conformance.bench.rows import HERE, PEERS, Row, Side, all_rows
from d4py_conformance.bench.runner import RowRunner
from dispel4py.registry import available

#: One row for each program of d4py, on different mappings.
QUICK = {"words-multi", "arrays-dyn_multi", "lone-hybrid_redis", "nested-simple", "stages-simple"}


@pytest.fixture(autouse=True)
def no_environments(monkeypatch):
    monkeypatch.delenv("D4PY_BENCH_BEFORE", raising=False)
    monkeypatch.delenv("D4PY_BENCH_PEERS", raising=False)


def rows():
    for row in all_rows():
        quick = row.name in QUICK | {"command-multi"}
        yield pytest.param(row, id=row.name, marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize("row", [*rows()])
def test_all_programs_of_this_environment_run_and_agree(row):
    mapping = row.name.partition("-")[2]
    if "-" in row.name and mapping != "job" and mapping not in available():
        pytest.skip(f"{mapping} is not installed")
    runner = RowRunner(row, row.tiny)
    here = {name for name, side in row.sides.items() if side.environment == HERE}
    assert {*runner.present} == here
    for name in runner.present:
        assert runner.run(name) >= 0.0
    assert runner.details()["cpu of ours"] > 0.0


def python(code, **options):
    return Side(("{bin}/python", "-c", f"print({code!r})"), **options)


def program_of(result):
    return python(f'{{{{"seconds": 1.0, "result": {result}, "notes": {{{{"a": 2.0}}}}}}}}')


def test_sides_that_compute_different_results_are_found():
    runner = RowRunner(Row("r", "", 1, 1, {"ours": program_of(1), "other": program_of(2)}), 1)
    assert runner.run("ours") == 1.0
    with pytest.raises(AssertionError, match=r"sides differ: .*1"):
        runner.run("other")


def test_notes_of_programs_are_kept():
    runner = RowRunner(Row("r", "", 1, 1, {"ours": program_of(1)}), 1)
    runner.run("ours")
    assert runner.details()["a of ours"] == 2.0


def test_a_program_that_fails_is_reported_with_its_output():
    side = Side(("{bin}/python", "-c", "raise SystemExit('no such thing')"))
    with pytest.raises(AssertionError, match="no such thing"):
        RowRunner(Row("r", "", 1, 1, {"ours": side}), 1).run("ours")


def test_missing_libraries_and_environments_are_reported():
    sides = {
        "ours": program_of(1),
        "library": python("1", library="d4py_no_such_library"),
        "peers": python("1", environment=PEERS),
    }
    runner = RowRunner(Row("r", "", 1, 1, sides), 1)
    assert runner.present == ["ours"]
    assert "d4py_no_such_library" in runner.missing["library"]
    assert runner.missing["peers"] == "there is no environment 'peers'"


def test_names_of_rows_are_unique():
    names = [*map(attrgetter("name"), all_rows())]
    assert len({*names}) == len(names)
