"""Names of mappings of dispel4py that took times."""

import csv

import pytest


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["timed_simple", "timed_multi", "timed_mpi"])
def test_they_run_the_mapping_and_write_what_they_wrote(dispel4py, write, folder, name):
    write("wf.py")
    done = dispel4py(name, "wf.py", "-i", 5, "-n", 2, "--run-id", "r1")
    assert done.status == 0, done.err
    assert done.outputs == {"Square1": {"output": [1, 4, 9, 16, 25]}}
    assert "every mapping takes them, and --report FILE writes a page of them" in done.err
    timings = folder / "timings"
    names = {path.name for path in timings.iterdir()} - {"monitor_abstract_graph_runr1.png"}
    assert names == {
        *("monitor_shape_runr1.json", "monitor_instances_runr1.csv", "monitor_summary_runr1.csv"),
    }
    summary = {row["pe_id"]: row for row in rows(timings / "monitor_summary_runr1.csv")}
    assert [row["total_count"] for row in summary.values()] == ["5", "5"]
    instances = rows(timings / "monitor_instances_runr1.csv")
    assert sum(int(row["total_count"]) for row in instances if row["pe_id"] == "Square1") == 5
    assert all(row["instance_id"] == f"{row['pe_id']}@{row['rank']}" for row in instances)


def test_the_mapping_itself_has_none_of_their_options(invoke, write):
    write("wf.py")
    assert "has no option '--timing-dir'" in invoke("simple", "wf.py", "--timing-dir", "x").err
