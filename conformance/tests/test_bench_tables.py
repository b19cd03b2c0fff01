"""What benchmarks have measured, as a table, a page and a picture, and for pytest-benchmark."""

import json
import os
import re
import subprocess
import sys

import pytest

from d4py_conformance.cli import main


@pytest.fixture
def session(tmp_path):
    """Writes what pytest-benchmark keeps: ``session(name, median, spread)``."""

    def write(name, ours, spread):
        info = {"unit": "hops/s", "ours": ours, "spread of ours": spread, "peer": 10.0}
        info |= {"ratio to peer": ours / 10.0, "cpu of ours": 3.5, "missing": {"ray": "not there"}}
        benchmark = {"name": "test_five_hops[multi]", "group": "five hops", "extra_info": info}
        file = tmp_path / name
        machine = {"cpu": {"count": 2, "brand_raw": "Some CPU"}, "python_version": "3.11.7"}
        machine |= {"system": "Linux", "release": "6.1"}
        origin = {"machine_info": machine, "commit_info": {"id": "abcdef0123"}}
        origin["datetime"] = "2026-11-30T12:00:00"
        file.write_text(json.dumps({"benchmarks": [benchmark], **origin}))
        return str(file)

    return write


def flat(text):
    return re.sub(r"\s+", " ", text)


def test_a_table_shows_mapping_median_spread_and_ratios(session, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["bench-table", session("a.json", 200.0, [190.0, 210.0])]) == 0
    shown = flat(capsys.readouterr().out)
    assert "test_five_hops[multi]" in shown
    assert "200 hops/s" in shown
    assert "±5%" in shown
    assert "peer 20, ray missing" in shown


def test_a_picture_of_the_ratios_is_drawn(session, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "ratios.svg"
    assert (
        main(["bench-table", session("a.json", 200.0, [190.0, 210.0]), "--picture", str(picture)])
        == 0
    )
    assert "<svg" in picture.read_text()


def test_a_page_tells_the_machine_the_ratios_and_what_is_missing(session, tmp_path):
    page = tmp_path / "latest.md"
    file = session("a.json", 200.0, [190.0, 210.0])
    assert main(["bench-table", file, "--markdown", str(page)]) == 0
    text = page.read_text()
    assert text.startswith(
        "2 cores (Some CPU), Linux 6.1, Python 3.11.7, commit abcdef0, 2026-11-30"
    )
    row = "| test_five_hops[multi] | 200 hops/s | ±5% | 3.5 s | peer 20 | ray |"
    assert row in text.splitlines()


def test_pytest_benchmark_compares_the_figures_of_two_sessions(tmp_path):
    (tmp_path / "bench_one.py").write_text(
        "import pytest\n"
        "from d4py_conformance.bench.measure import by_turns, clock\n"
        "@pytest.mark.benchmark(timer=clock)\n"
        "@pytest.mark.parametrize(('figure', 'unit'), [(0.25, 's'), (8.0, 'items/s')])\n"
        "def test_one(benchmark, capsys, figure, unit):\n"
        "    by_turns(benchmark, capsys, unit, lambda: figure)\n"
    )
    kept = tmp_path / "kept.json"
    options = ["-p", "no:xdist", "-p", "no:cacheprovider", "-c", os.devnull, "--benchmark-only"]
    run = [sys.executable, "-m", "pytest", *options, f"--benchmark-json={kept}", "bench_one.py"]
    # As a worker of xdist, it would refuse to measure.
    alone = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    subprocess.run(run, cwd=tmp_path, check=True, capture_output=True, timeout=60, env=alone)
    medians = [one["stats"]["median"] for one in json.loads(kept.read_text())["benchmarks"]]
    assert medians == pytest.approx([0.25, 1 / 8])


@pytest.mark.parametrize("text", [None, "{", "[]", '{"benchmarks": 3}'])
def test_a_file_that_is_no_session_is_reported(tmp_path, capsys, text):
    file = tmp_path / "none.json"
    if text is not None:
        file.write_text(text)
    assert main(["bench-table", str(file)]) == 2
    assert str(file) in capsys.readouterr().err
