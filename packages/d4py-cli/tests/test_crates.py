"""Provenance of runs as others read it: a validator of RO-Crates, and `runcrate`.

They need versions of libraries that no other test can use, so they have an environment of their
own: `hatch run provenance:run`.  Nothing is fetched: what is asked for on the web is given here.
"""

import argparse
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from d4py_cli.provenance.record import ProvenanceRecord
from d4py_cli.report.environment import WorkflowSources
from dispel4py.events import (
    EdgeDescription,
    FilesDeclared,
    InstanceReport,
    PEDescription,
    RunEnded,
    RunStarted,
    WorkerStarted,
)
from dispel4py.result import RunResult, RunStats

pytest.importorskip("rocrate_validator")
pytest.importorskip("runcrate")

# What these libraries warn of in each other is not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")

_TERMS = "https://w3id.org/ro/terms/workflow-run#"
_BIOSCHEMAS = "https://bioschemas.org/"
#: The terms that the context of RO-Crate 1.1 has and that of 1.3, which `rocrate` brings, has not.
_TERMS_OF_1_1 = {
    "ComputationalWorkflow": f"{_BIOSCHEMAS}ComputationalWorkflow",
    "FormalParameter": f"{_BIOSCHEMAS}FormalParameter",
    "input": f"{_BIOSCHEMAS}ComputationalWorkflow#input",
    "output": f"{_BIOSCHEMAS}ComputationalWorkflow#output",
}
_TERMS_OF_RUNS = ("ParameterConnection", "connection", "sourceParameter", "targetParameter")


@pytest.fixture
def contexts(monkeypatch):
    """Answers what would be fetched from the web: contexts are given, and nothing else is there."""
    import requests.adapters
    import rocrate
    from urllib3 import HTTPResponse

    data = Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld"
    terms = json.loads(data.read_text(encoding="utf-8"))
    terms["@context"].update(_TERMS_OF_1_1)
    given = {
        "https://w3id.org/ro/crate/1.1/context": terms,
        "https://w3id.org/ro/terms/workflow-run/context": {
            "@context": {name: _TERMS + name for name in (*_TERMS_OF_RUNS, "sha256")}
        },
    }

    def send(adapter, request, **settings):
        found = given.get(request.url)
        body = io.BytesIO(json.dumps(found or {}).encode())
        raw = HTTPResponse(
            body,
            {"Content-Type": "application/ld+json"},
            200 if found else 404,
            preload_content=False,
        )
        return adapter.build_response(request, raw)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)


@pytest.fixture
def crate(folder, write):
    """A crate of a run whose PE has declared files."""
    file = str(write("flow.py", "graph = 1\n"))
    pes = (
        PEDescription("A0", "A", "flow.A", 1, True, file, 1),
        PEDescription("B1", "B", "flow.B", 2, False, file, 1),
    )
    edges = (EdgeDescription("A0", "output", "B1", "input", "shuffle"),)
    versions = {"python": "3.11.7", "d4py-core": "0.1.0"}
    command = ("python", "/bin/dispel4py", "multi", "flow.py")
    options = argparse.Namespace(workflow="flow.py", num=4, output=None, workflow_file=file)
    sources = WorkflowSources(file)
    with ProvenanceRecord("crate", options) as record:
        for event in (
            RunStarted(
                *(0.0, "2026-11-30T12:00:00+00:00", "multi", 4, pes, edges, {"A0": 10}, 7),
                *(versions, "node1", 4711, command),
            ),
            WorkerStarted(0.1, 0),
            InstanceReport(1.0, 0, "A0", 0, 10, {"output": 10}, 0.5),
            InstanceReport(2.0, 1, "B1", 0, 10, {}, 1.5),
            FilesDeclared(1.5, "B1", 1, ("/data/a.mseed",), ("/data/out 1.csv", "https://x.org/y")),
            RunEnded(2.0, "done", 2.0),
        ):
            record.on_event(sources.add_to(event))
        record.finish(RunResult({"B1": {"output": [1]}}, [], RunStats("multi")))
    return folder / "crate"


def validate(crate, profile, cache):
    from rocrate_validator import models, services

    return services.validate(
        {
            "rocrate_uri": str(crate),
            "profile_identifier": profile,
            "requirement_severity": models.Severity.REQUIRED,
            "cache_path": cache,
            "abort_on_first": False,
        }
    )


@pytest.mark.parametrize("profile", ["ro-crate-1.1", "provenance-run-crate-0.5"])
def test_the_crate_fulfils_the_profile(crate, contexts, tmp_path, profile):
    result = validate(crate, profile, tmp_path / "cache")
    assert [(it.check.identifier, it.message) for it in result.get_issues()] == []
    assert result.passed()
    # A check that could not be made is no proof.
    assert not result.skipped_checks
    assert len(result.executed_checks) > 40


def test_the_validator_finds_a_crate_without_instruments(crate, contexts, tmp_path):
    path = crate / "ro-crate-metadata.json"
    described = json.loads(path.read_text())
    for entity in described["@graph"]:
        entity.pop("instrument", None)
    path.write_text(json.dumps(described))
    assert not validate(crate, "provenance-run-crate-0.5", tmp_path / "cache").passed()


def test_runcrate_reads_the_actions(crate):
    report = subprocess.run(
        [Path(sys.executable).parent / "runcrate", "report", crate],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    ).stdout
    run, first, second = report.strip().split("\n\n")
    assert "action: #run\n  instrument: flow.py" in run
    assert "4 <- #parameter/num" in run
    assert "results.pkl <- #parameter/results" in run
    assert "step: #step/A0" in first
    assert "inputs:\n    file:///data/a.mseed" in second
    assert "outputs:\n    file:///data/out%201.csv\n    https://x.org/y" in second
