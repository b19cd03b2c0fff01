"""`--provenance`: what a real run writes; `test_crates.py` has it read by others."""

import argparse
import errno
import hashlib
import json
import pickle
import threading

import pytest

from d4py_cli.provenance import crate
from d4py_cli.provenance.record import ProvenanceRecord
from d4py_cli.report import environment
from dispel4py.errors import OptionError

DECLARING = """
from dispel4py import IterativePE, ProducerPE, WorkflowGraph

class Read(ProducerPE):
    def _process(self, inputs):
        self.provenance(used=["data/in.csv", "https://example.org/catalogue"])
        return 1

class Write(IterativePE):
    def _process(self, data):
        self.provenance(generated="out.csv")
        return data

graph = WorkflowGraph()
graph.connect(Read(), "output", Write(), "input")
"""


def entities(crate):
    """The entities of a crate by their ids."""
    described = json.loads((crate / "ro-crate-metadata.json").read_text(encoding="utf-8"))
    return {entity["@id"]: entity for entity in described["@graph"]}


@pytest.mark.parametrize("mapping", ["simple", "multi", "dyn_multi", "hybrid_redis", "mpi"])
def test_files_that_pes_declare_are_named_with_their_pe(dispel4py, write, folder, mapping):
    write("wf.py", DECLARING)
    done = dispel4py(mapping, "wf.py", "-i", 3, "-n", 2, "--seed", 7, "--provenance", "crate")
    assert done.status == 0, done.err
    assert "declared" not in done.err
    found = entities(folder / "crate")
    used = {"@id": (folder / "data/in.csv").as_uri()}, {"@id": "https://example.org/catalogue"}
    assert [*used] == found["#call/Read0"]["object"]
    assert found["#call/Write1"]["result"] == [{"@id": (folder / "out.csv").as_uri()}]
    assert found["#run"]["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert found["#run"]["instrument"] == {"@id": "wf.py"}
    assert found["#value/seed"]["value"] == 7
    assert {path.name for path in (folder / "crate").iterdir()} == {
        *("ro-crate-metadata.json", "prov.json", "results.pkl", "wf.py"),
    }


def test_the_results_of_this_run_are_in_the_crate_also_those_that_are_written_last(
    invoke, write, folder
):
    write("wf.py")
    write("out.pkl", "yesterday's")
    done = invoke("simple", "wf.py", "-i", 2, "--provenance", "crate", "--output", "out.pkl")
    assert done.status == 0, done.err
    assert (folder / "crate/out.pkl").read_bytes() == (folder / "out.pkl").read_bytes()
    assert pickle.loads((folder / "crate/out.pkl").read_bytes()) == {"Square1": {"output": [1, 4]}}


def test_prov_json_is_read_back_with_plain_values(invoke, write, folder):
    from prov.model import ProvDocument

    write("wf.py", DECLARING)
    done = invoke("simple", "wf.py", "-i", 2, "--seed", 7, "--provenance", "crate")
    assert done.status == 0, done.err
    document = ProvDocument.deserialize(folder / "crate" / "prov.json")
    (run,) = document.get_record("d4py:run")
    assert {str(name): value for name, value in run.attributes}["d4py:seed"] == 7
    kinds = {type(record).__name__ for record in document.get_records()}
    assert {"ProvUsage", "ProvGeneration", "ProvCommunication", "ProvAssociation"} <= kinds
    json.loads((folder / "crate" / "prov.json").read_text())


def test_every_action_has_an_instrument_and_the_crate_is_of_version_1_1(invoke, write, folder):
    write("wf.py", DECLARING)
    assert invoke("simple", "wf.py", "--provenance", "crate").status == 0
    found = entities(folder / "crate")
    actions = [entity for entity in found.values() if "Action" in str(entity["@type"])]
    assert len(actions) == 6
    assert all("instrument" in action for action in actions)
    about = json.loads((folder / "crate" / "ro-crate-metadata.json").read_text())
    assert about["@context"][0] == "https://w3id.org/ro/crate/1.1/context"


def test_files_of_one_name_in_two_folders_are_both_there(invoke, write, folder):
    for name in "ab":
        write(f"{name}/pes.py", IN_A_FOLDER.format(name))
        write(f"{name}/__init__.py", "")
    write("wf.py", TWO_FOLDERS)
    done = invoke("simple", "wf.py", "--provenance", "crate")
    assert done.status == 0, done.err
    found = entities(folder / "crate")
    for name, copy in (("a", "pes.py"), ("b", "pes-2.py")):
        digest = hashlib.sha256((folder / name / "pes.py").read_bytes()).hexdigest()
        assert (folder / "crate" / copy).read_bytes() == (folder / name / "pes.py").read_bytes()
        assert found[copy]["sha256"] == digest
        prov = json.loads((folder / "crate" / "prov.json").read_text())["entity"]
        assert prov[f"d4py:file/{copy}"]["d4py:sha256"] == digest


IN_A_FOLDER = """
from dispel4py import IterativePE

class {}(IterativePE):
    def _process(self, data):
        return data
"""

TWO_FOLDERS = """
from a.pes import a
from b.pes import b
from dispel4py import ProducerPE, WorkflowGraph

class One(ProducerPE):
    def _process(self, inputs):
        return 1

graph = WorkflowGraph()
first = a()
graph.connect(One(), "output", first, "input")
graph.connect(first, "output", b(), "input")
"""


def test_a_failed_run_says_so(invoke, write, folder):
    write("wf.py", DECLARING.replace("return data", "raise ValueError('no')"))
    assert invoke("simple", "wf.py", "--provenance", "crate").status == 1
    run = entities(folder / "crate")["#run"]
    assert run["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert "ValueError: no" in run["error"]


def test_a_folder_with_files_is_refused(invoke, write, folder):
    write("wf.py")
    write("crate/precious.txt", "precious")
    done = invoke("simple", "wf.py", "--provenance", "crate")
    assert done.status == 2
    assert "the folder is not empty" in done.err
    assert [path.name for path in (folder / "crate").iterdir()] == ["precious.txt"]


def test_a_second_run_into_one_folder_is_refused(tmp_path):
    """Their files would be mixed, or one crate would be gone."""
    first = ProvenanceRecord(str(tmp_path / "crate"), argparse.Namespace())
    with pytest.raises(OptionError, match=r"crate \(--provenance\): another run is writing to it"):
        ProvenanceRecord(str(tmp_path / "crate"), argparse.Namespace())
    first.discard()
    ProvenanceRecord(str(tmp_path / "crate"), argparse.Namespace()).discard()
    assert not (tmp_path / "crate").exists()


def test_a_refused_run_leaves_no_folder(invoke, write, folder):
    write("wf.py")
    assert invoke("simple", "wf.py", "-d", '{"Nobody": 3}', "--provenance", "crate").status == 2
    assert not (folder / "crate").exists()


def test_a_pe_that_declares_runs_without_observers(invoke, write):
    write("wf.py", DECLARING)
    done = invoke("simple", "wf.py", "-q")
    assert (done.status, done.err) == (0, "")


def test_a_crate_that_cannot_be_written_takes_no_file_of_others_along(
    invoke, write, folder, monkeypatch
):
    def write_half(place, *_):
        (place / "half.json").write_text("{")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(crate, "write_crate", write_half)
    write("wf.py", DECLARING)
    done = invoke("simple", "wf.py", "--provenance", "crate", "--output", "crate/results.jsonl")
    assert done.status == 1
    assert "cannot write crate: No space left on device (--provenance)" in done.err
    assert [path.name for path in (folder / "crate").iterdir()] == ["results.jsonl"]


def test_files_of_a_workflow_are_read_before_the_run_and_not_by_an_observer(
    invoke, write, monkeypatch
):
    readers = []
    monkeypatch.setattr(
        environment, "_git", lambda *_: readers.append(threading.current_thread()) or ""
    )
    write("wf.py", DECLARING)
    assert invoke("simple", "wf.py", "--log", "run.jsonl", "--trace", "run.json").status == 0
    assert readers
    assert {*readers} == {threading.main_thread()}
