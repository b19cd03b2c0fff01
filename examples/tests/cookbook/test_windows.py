"""Windows have the items that belong to them, whatever the order of arrival."""

import random
from itertools import pairwise

from d4py_examples.cookbook.files import FindFiles
from d4py_examples.cookbook.tables import ReadCSV
from d4py_examples.cookbook.windows import CountWindows, SessionWindows, TimeWindows
from dispel4py import WorkflowGraph, run
from dispel4py.testing import feed

ITEMS = [{"key": "ab"[n % 2], "time": float(n)} for n in range(40)]


def times(window):
    return [item["time"] for item in window["items"]]


def test_count_windows_are_full_but_the_last():
    assert feed(CountWindows(3), range(8))["output"] == [[0, 1, 2], [3, 4, 5], [6, 7]]


def test_count_windows_have_items_of_one_key():
    windows = feed(CountWindows(15, key="key"), ITEMS, instances=2)["output"]
    found = sorted((w[0]["key"], len(w), {item["key"] for item in w}) for w in windows)
    assert found == [("a", 5, {"a"}), ("a", 15, {"a"}), ("b", 5, {"b"}), ("b", 15, {"b"})]


def test_time_windows_wait_for_late_items():
    shuffled = sorted(
        ITEMS, key=lambda item: item["time"] + random.Random(item["time"]).random() * 9
    )
    assert shuffled != ITEMS
    outputs = feed(TimeWindows(10.0, lateness=9.0), shuffled)
    assert outputs["late"] == []
    for key, first in (("a", 0), ("b", 1)):
        windows = [window for window in outputs["output"] if window["key"] == key]
        assert [(w["start"], w["end"]) for w in windows] == [
            (t, t + 10.0) for t in range(0, 40, 10)
        ]
        assert [sorted(times(w)) for w in windows] == [
            [float(t) for t in range(start + first, start + 10, 2)] for start in range(0, 40, 10)
        ]


def test_what_comes_after_its_window_goes_to_late():
    arrivals = [1.0, 14.0, 9.0, 15.0, 9.5, 12.0]
    items = [{"key": "a", "time": time} for time in arrivals]
    outputs = feed(TimeWindows(10.0, lateness=5.0), items)
    assert [times(window) for window in outputs["output"]] == [[1.0, 9.0], [14.0, 15.0, 12.0]]
    assert outputs["late"] == [{"key": "a", "time": 9.5}]


def test_rows_of_files_go_into_windows(tmp_path):
    for day in range(3):
        rows = "".join(f"A,{time}\n" for time in range(86400 * day, 86400 * (day + 1), 3600))
        (tmp_path / f"{day}.csv").write_text(f"key,time\n{rows}")
    pes = [FindFiles(f"{tmp_path}/*.csv"), ReadCSV({"time": float}), TimeWindows(6 * 3600.0)]
    graph = WorkflowGraph()
    for one, other in pairwise(pes):
        graph.connect(one, "output", other, "input")
    outputs = run(graph, mapping="multi", processes=5).outputs["TimeWindows2"]
    assert outputs.keys() == {"output"}
    assert [(w["start"], len(w["items"])) for w in outputs["output"]] == [
        (start, 6) for start in range(0, 3 * 86400, 6 * 3600)
    ]


def test_an_item_of_another_key_makes_none_late():
    items = [{"key": "a", "time": 100.0}, {"key": "b", "time": 1.0}]
    outputs = feed(TimeWindows(10.0), items)
    assert [times(window) for window in outputs["output"]] == [[100.0], [1.0]]
    assert outputs["late"] == []


def test_sessions_end_with_a_pause():
    arrivals = [0.0, 4.0, 8.0, 13.0, 14.0, 30.0]
    items = [{"key": "a", "time": time} for time in arrivals]
    windows = feed(SessionWindows(5.0), items)["output"]
    assert [times(window) for window in windows] == [[0.0, 4.0, 8.0], [13.0, 14.0], [30.0]]
    assert [(w["start"], w["end"]) for w in windows] == [(0.0, 13.0), (13.0, 19.0), (30.0, 35.0)]
