"""M4: what a root has written arrives while its call goes on, for however long that waits."""

import pytest

from d4py_conformance.pes.common import (
    BeginsLate,
    MakesFile,
    MakesFileById,
    MakesFileInOrder,
    Relay,
    WritesAndWaits,
    WritesNowAndThen,
)
from d4py_conformance.pes.failing import Fails
from d4py_conformance.suite import chain
from dispel4py import WorkflowGraph, run
from dispel4py.errors import ProcessingError


@pytest.fixture(params=["multi", "zmq_multi", "mpi"])
def mapping(request, installed):
    """Name of a mapping."""
    return installed(request.param)


@pytest.mark.parametrize("receiver", [MakesFile, MakesFileById, MakesFileInOrder])
def test_m4_what_a_call_has_written_arrives_while_it_waits(mapping, receiver, tmp_path):
    path = tmp_path / "arrived"
    graph = chain(WritesAndWaits(5, path), receiver(4, path))
    result = run(graph, mapping, 1, processes=2)
    assert result.outputs == {f"{receiver.__name__}1": {"output": [*range(5)]}}


def test_m4_what_had_to_wait_for_its_receiver_arrives_while_the_call_waits(mapping, tmp_path):
    path = tmp_path / "arrived"
    graph = chain(WritesNowAndThen(8, path), BeginsLate(7, path))
    result = run(graph, mapping, 1, processes=2)
    assert result.outputs == {"BeginsLate1": {"output": [*range(8)]}}


def test_m4_what_goes_to_another_process_does_not_wait_for_what_stays_here(mapping, tmp_path):
    path = tmp_path / "arrived"
    root, here, there = WritesAndWaits(5, path), Relay(), MakesFile(4, path)
    graph = WorkflowGraph()
    graph.connect(root, "output", here, "input")  # the first two share a process
    graph.connect(root, "output", there, "input")
    result = run(graph, mapping, 1, processes=2)
    assert result.outputs == {
        "Relay1": {"output": [*range(5)]},
        "MakesFile2": {"output": [*range(5)]},
    }


def test_c3_an_error_downstream_ends_a_call_that_waits(mapping, tmp_path):
    graph = chain(WritesAndWaits(5, tmp_path / "never"), Fails(at=[0]))
    with pytest.raises(ProcessingError, match=r"Fails1 .*ValueError"):
        run(graph, mapping, 1, processes=2)
