"""I2 on `simple`: a PE that holds what cannot be copied runs, and has a copy of all else."""

import logging
import socket
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.engine.planning import local_pes
from dispel4py.errors import GraphError
from dispel4py.new.monitoring import ProcessTimingPE


class Count(ProducerPE):
    total = 0

    def _process(self, inputs):
        self.total += 1
        return self.total


class Holds(IterativePE):
    """Holds something, and counts."""

    stateful = True

    def __init__(self, held, use=lambda held, data: data):
        super().__init__()
        self.held, self.use, self.seen = held, use, []

    def _process(self, data):
        self.seen.append(data)
        return self.use(self.held, data)


def outcome(pe, inputs=3):
    graph = WorkflowGraph()
    graph.connect(Count(), "output", pe, "input")
    ((outputs,),) = [run.values() for run in run(graph, inputs=inputs).outputs.values()]
    return outputs


def guarded(held, data):
    with held:
        return data


def test_i2_a_lock_is_shared_and_all_else_is_copied():
    pe = Holds(threading.Lock(), guarded)

    assert outcome(pe) == [1, 2, 3]
    assert outcome(pe) == [1, 2, 3]
    assert pe.seen == []


def test_i2_a_generator_is_shared_and_goes_on():
    pe = Holds((n for n in range(100)), lambda held, data: next(held))

    assert outcome(pe) == [0, 1, 2]
    assert outcome(pe) == [3, 4, 5]


def test_i2_a_connection_is_used():
    connection = sqlite3.connect(":memory:")
    pe = Holds(connection, lambda held, data: held.execute("select 2 * ?", [data]).fetchone()[0])

    assert outcome(pe) == [2, 4, 6]
    connection.close()


def test_i2_a_socket_is_used():
    ours, theirs = socket.socketpair()
    pe = Holds({"to": [ours]}, lambda held, data: held["to"][0].send(b"x"))

    assert outcome(pe) == [1, 1, 1]
    assert theirs.recv(10) == b"xxx"
    ours.close()
    theirs.close()


def test_i2_a_container_around_it_is_copied():
    held = {"lock": threading.Lock(), "count": [0]}

    def use(held, data):
        with held["lock"]:
            held["count"][0] += 1
            return held["count"][0]

    assert outcome(Holds(held, use)) == [1, 2, 3]
    assert held["count"] == [0]


class Client:
    def __init__(self):
        self.lock, self.calls = threading.Lock(), 0


class Helper:
    def __init__(self, client):
        self.client, self.calls = client, 0


def test_i2_an_object_that_only_refers_to_it_is_copied():
    client = Client()
    helper = Helper(client)
    pe = Holds([client, helper], lambda held, data: held[0] is held[1].client is client)
    pe.helper = helper

    def use(held, data):
        held[1].calls += 1
        return held[1].client is client

    pe.use = use
    assert outcome(pe) == [True, True, True]
    assert helper.calls == 0


class Dispatches(IterativePE):
    """Calls a method of its own that it has in a dict."""

    stateful = True

    def __init__(self):
        super().__init__()
        self.lock, self.seen = threading.Lock(), []
        self.handlers = {"data": self.handle}

    def handle(self, data):
        self.seen.append(data)
        return len(self.seen)

    def _process(self, data):
        return self.handlers["data"](data)


def test_i2_a_method_of_the_pe_is_that_of_its_copy():
    pe = Dispatches()

    assert outcome(pe) == [1, 2, 3]
    assert pe.seen == []


def test_i2_instances_share_it():
    pe = Holds(threading.Lock(), lambda held, data: id(held))
    pe.numprocesses = 3

    assert set(outcome(pe)) == {id(pe.held)}


def test_i2_so_it_is_in_a_pe_that_another_one_wraps():
    assert sorted(outcome(ProcessTimingPE(Holds(threading.Lock(), guarded)))) == [1, 2, 3]


class Marked:
    """Keeps its mark by pickle, and not by deepcopy."""

    def __init__(self):
        self.mark = "kept"

    def __deepcopy__(self, memo):
        made = Marked()
        made.mark = "lost"
        return made


class Around:
    def __init__(self, inner):
        self.inner = inner


def mark_of(held, data):
    return held.mark


def mark_inside(held, data):
    return held["a"][0][0].mark


def mark_of_object(held, data):
    return held.inner.inner.mark


@pytest.mark.parametrize(
    ("held", "use"),
    [
        (Marked(), mark_of),
        ({"a": [(Marked(),)]}, mark_inside),
        (Around(Around(Marked())), mark_of_object),
    ],
    ids=["attribute", "containers", "objects"],
)
def test_i2_an_object_is_copied_as_by_pickle_wherever_it_is(held, use):
    assert outcome(Holds(held, use), 1) == ["kept"]


def use_nothing(held, data):
    return len(held)


def test_a_pe_of_plain_values_is_not_serialized(monkeypatch):
    monkeypatch.setattr(local_pes, "serialize_pe", None)
    pe = Holds({"numbers": [1.5] * 10, "words": {"a": ("b", None)}}, use_nothing)

    assert outcome(pe, 1) == [2]


def test_a_pe_with_arrays_is_not_serialized(monkeypatch):
    numpy = pytest.importorskip("numpy")
    monkeypatch.setattr(local_pes, "serialize_pe", None)
    pe = Holds([numpy.arange(6).T, numpy.float32(1), numpy.datetime64("2026-12-01")], use_nothing)

    assert outcome(pe, 1) == [3]


class Stubborn(IterativePE):
    def __reduce__(self):
        raise ValueError("I stay")


@pytest.mark.parametrize("kind", [threading.Thread, logging.StreamHandler])
def test_i2_an_object_that_refers_to_a_standard_stream_is_shared(kind, monkeypatch):
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    held = kind()

    assert outcome(Holds(held, lambda copied, data: copied is held), 1) == [True]


def test_i2_a_pool_with_threads_is_used():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(len, ()).result()
        pe = Holds(pool, lambda held, data: held.submit(abs, -data).result())

        assert outcome(pe) == [1, 2, 3]


def test_i9_a_standard_stream_is_that_of_the_process():
    assert outcome(Holds(sys.__stdout__, lambda held, _: held is sys.__stdout__), 1) == [True]


def test_a_pe_that_refuses_to_be_copied_is_refused():
    with pytest.raises(GraphError, match=r"Stubborn1: .*I stay"):
        outcome(Stubborn())


@pytest.mark.parametrize("wrap", [lambda held: held, lambda held: {"log": [held]}])
@pytest.mark.parametrize("mode", ["r", "w"])
def test_i9_an_open_file_is_still_refused(tmp_path, mode, wrap):
    path = tmp_path / "file"
    path.write_text("")
    with path.open(mode) as file:
        pe = Holds(wrap(file))
        pe.held_before, pe.held = threading.Lock(), pe.held
        with pytest.raises(GraphError, match=r"attribute 'held' .*/file' \(mode '.'\) is open"):
            outcome(pe)
