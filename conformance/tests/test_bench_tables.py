"""What benchmarks have measured, as a table, a picture and a comparison."""

import json
import re

import pytest

from d4py_conformance.cli import main


@pytest.fixture
def session(tmp_path):
    """Writes what pytest-benchmark keeps: ``session(name, median, spread)``."""

    def write(name, ours, spread):
        info = {"unit": "hops/s", "ours": ours, "spread of ours": spread, "peer": 10.0}
        info["ratio to peer"] = ours / 10.0
        benchmark = {"name": "test_five_hops[multi]", "group": "five hops", "extra_info": info}
        file = tmp_path / name
        file.write_text(json.dumps({"benchmarks": [benchmark]}))
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
    assert "peer 20" in shown


def test_a_picture_of_the_ratios_is_drawn(session, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "ratios.svg"
    assert (
        main(["bench-table", session("a.json", 200.0, [190.0, 210.0]), "--picture", str(picture)])
        == 0
    )
    assert "<svg" in picture.read_text()


@pytest.mark.parametrize(
    ("later", "verdict"), [(205.0, "within the noise"), (400.0, "x 2.00")], ids=["noise", "change"]
)
def test_only_a_change_beyond_the_noise_counts(session, capsys, later, verdict):
    before = session("a.json", 200.0, [190.0, 210.0])
    after = session("b.json", later, [later - 5, later + 5])
    assert main(["bench-compare", before, after]) == 0
    assert verdict in flat(capsys.readouterr().out)


@pytest.mark.parametrize("text", [None, "{", "[]", '{"benchmarks": 3}'])
def test_a_file_that_is_no_session_is_told(tmp_path, capsys, text):
    file = tmp_path / "none.json"
    if text is not None:
        file.write_text(text)
    assert main(["bench-table", str(file)]) == 2
    assert str(file) in capsys.readouterr().err
