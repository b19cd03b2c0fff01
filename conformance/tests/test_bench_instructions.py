"""Paths whose instructions are counted, and what is said where that cannot be done."""

import subprocess

import pytest

from d4py_conformance.bench import instructions
from d4py_conformance.bench.instructions import PATHS
from d4py_conformance.cli import main


@pytest.mark.parametrize("name", PATHS)
def test_a_path_takes_any_number_of_items(name):
    PATHS[name].run(0)
    PATHS[name].run(1_001)


def test_what_the_start_costs_cancels_out(monkeypatch, capsys):
    counted = []

    def run(command, **options):
        counted.append(int(command[-1]))
        text = f"==1== I refs:      {5_000_000 + 123 * counted[-1]:,}\n"
        return subprocess.CompletedProcess(command, 0, "", text)

    monkeypatch.setattr(instructions.subprocess, "run", run)
    assert main(["bench-instructions", "codec"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("| 123 |")
    assert len(set(counted)) == 2


def test_a_path_that_there_is_not_is_refused(capsys):
    assert main(["bench-instructions", "nowhere"]) == 2
    assert (
        "there is no path 'nowhere'; there are: stages, observed, words" in capsys.readouterr().err
    )


def test_the_advice_is_to_install_valgrind_where_it_is_missing(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["bench-instructions", "codec"]) == 2
    assert "apt-get install valgrind" in capsys.readouterr().err
