"""Items, states and inputs that are larger than what the server takes at once."""

import logging
import re
from itertools import pairwise

import pytest

from d4py_dynamic.store.entries import TooLargeError, split_results, split_task
from d4py_dynamic.store.protocols import Results
from d4py_dynamic.store.redis.connections.client import connect
from d4py_dynamic.store.redis.connections.server import find_server
from d4py_dynamic.store.serialization import dumps
from d4py_dynamic.store.task_pickles import TaskCodec
from d4py_dynamic.store.tasks import ANY, CALLS, ITEMS, Task
from dispel4py import GenericPE, IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.errors import D4pyError, InputError, OptionError

#: The least that a server can be set to, in bytes, and items of which one or two fit in.
LIMIT, HALF = 1 << 20, 600 << 10

MAPPINGS = ["dyn_redis", "hybrid_redis"]


@pytest.fixture(scope="module", params=["proto-max-bulk-len", "client-query-buffer-limit"])
def small_server(request, start_server):
    """A server that takes no value of more than 1 MiB, by either of its settings."""
    return start_server(f"--{request.param}", str(LIMIT))


@pytest.fixture(params=MAPPINGS)
def execute(request, small_server):
    """Runs a chain of PEs; the last one is stateful where the mapping allows it."""

    def execute(*pes, inputs=1, **options):
        graph = WorkflowGraph()
        for before, after in pairwise(pes):
            graph.connect(before, "output", after, "input")
        pes[-1].stateful = request.param == "hybrid_redis"
        result = run(graph, request.param, inputs, 2, redis_url=small_server.url, **options)
        return sorted(result.outputs[f"{type(pes[-1]).__name__}{len(pes) - 1}"]["output"])

    yield execute
    with small_server.client() as client:
        assert client.keys("*") == []


class Make(ProducerPE):
    """Writes as many items as it is told, of a size in bytes, in one call."""

    def __init__(self, size, count=1):
        super().__init__()
        self.size, self.count = size, count

    def _process(self, inputs):
        for number in range(self.count):
            self.write("output", bytes([number]) * self.size)


class Read(GenericPE):
    """A root that writes what it is called with."""

    def __init__(self):
        super().__init__()
        self._add_output("output")

    def process(self, inputs):
        return {"output": inputs["data"]}


class Pass(IterativePE):
    def _process(self, data):
        return data


class Grow(IterativePE):
    def _process(self, data):
        return data * 2 * LIMIT


class GrowAt(IterativePE):
    """Makes one of its items too large."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def _process(self, data):
        return data * 2 * LIMIT if data == bytes([self.number]) else data


class Size(IterativePE):
    def _process(self, data):
        return len(data)


class Collect(IterativePE):
    kept = b""

    def _process(self, data):
        self.kept += data
        return len(self.kept)


SIZES = r"it takes 2\.0 MiB, and the Redis server takes no more than 1\.0 MiB at once; .*bulk-len"


def test_m2_an_item_that_is_too_large_is_refused_by_its_size(execute):
    with pytest.raises(D4pyError, match=f"Pass1.*{SIZES}"):
        execute(Make(2 * LIMIT), Pass(), Size())


def test_m2_a_result_that_is_too_large_is_refused_by_its_size(execute):
    with pytest.raises(D4pyError, match=f"Grow1.*{SIZES}"):
        execute(Make(1), Grow())


def test_m2_items_that_are_too_large_together_arrive(execute):
    assert execute(Make(HALF, 5), Pass(), Size()) == [HALF] * 5
    assert [len(item) for item in execute(Make(HALF, 5), Pass())] == [HALF] * 5


def test_c3_an_item_that_is_too_large_is_skipped_as_a_failure_of_its_sender(small_server):
    graph = WorkflowGraph()
    grow, size = GrowAt(2), Size()
    size.stateful = True
    graph.connect(Read(), "output", grow, "input")
    graph.connect(grow, "output", size, "input")
    inputs = [{"data": bytes([n])} for n in range(5)]
    result = run(graph, "hybrid_redis", inputs, 2, redis_url=small_server.url, on_error="skip")
    assert result.outputs["Size2"]["output"] == [1] * 4
    (failure,) = result.failures
    assert failure.pe_id == "GrowAt1"
    assert re.search(SIZES, str(failure.error))


@pytest.mark.parametrize("read", [list, iter])
def test_m2_inputs_that_are_too_large_together_arrive(execute, read):
    assert execute(Read(), Size(), inputs=read([{"data": bytes(HALF)}] * 5)) == [HALF] * 5


@pytest.mark.parametrize("read", [list, iter])
def test_m2_an_input_that_is_too_large_is_refused_by_its_size(execute, read):
    with pytest.raises(InputError, match=f"an input of Read0: {SIZES}"):
        execute(Read(), Size(), inputs=read([{"data": b""}, {"data": bytes(2 * LIMIT)}]))


def test_h2_a_state_that_is_too_large_is_reported_and_the_run_goes_on(small_server, caplog):
    graph = WorkflowGraph()
    collect = Collect()
    collect.stateful = True
    graph.connect(Make(HALF, 5), "output", collect, "input")
    with caplog.at_level(logging.INFO):
        result = run(graph, "hybrid_redis", 1, 2, redis_url=small_server.url)
    assert result.outputs["Collect1"]["output"] == [HALF * n for n in range(1, 6)]
    assert "the run fails if this worker is lost: it takes " in caplog.text


def test_a_workflow_that_is_too_large_for_remote_workers_is_refused(small_server, monkeypatch):
    monkeypatch.setenv("D4PY_KEY", "x" * 40)
    graph = WorkflowGraph()
    pe = Pass()
    pe.table = bytes(2 * LIMIT)
    graph.connect(Make(1), "output", pe, "input")
    with pytest.raises(OptionError, match="remote workers cannot be sent the workflow"):
        run(graph, "dyn_redis", 1, 2, redis_url=small_server.url)
    with small_server.client() as client:
        assert client.keys("*") == []


def test_a_private_server_takes_a_gigabyte(need_server, monkeypatch):
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setattr("d4py_dynamic.store.redis.connections.server.DEFAULT_PORT", 1)
    with find_server({}) as address, connect(address) as client:
        assert client.config_get("proto-max-bulk-len") == {"proto-max-bulk-len": str(1 << 30)}
        assert address.largest < 1 << 30


class TestSplitting:
    def test_a_task_is_split_in_order(self):
        task = Task(ITEMS, 1, ANY, "input", [bytes([n]) * 100 for n in range(7)])
        parts = [*split_task(task, TaskCodec().pickle, 400)]
        assert all(pickled.size <= 400 for _, pickled in parts)
        assert [item for part, _ in parts for item in part.payload] == task.payload
        assert len(parts) > 1

    def test_a_task_that_fits_is_not_split(self):
        task = Task(CALLS, 0, 0, None, 5)
        ((part, pickled),) = split_task(task, TaskCodec().pickle, 400)
        assert part is task
        assert pickled.data == dumps(task)

    def test_results_are_split_into_single_results(self):
        results = Results([("A0", "output", [b"x" * 300, b"y" * 300])], [])
        assert len([*split_results(results, dumps, 500)]) == 2

    def test_a_value_that_cannot_be_split_is_refused(self):
        with pytest.raises(TooLargeError):
            [*split_task(Task(ITEMS, 1, ANY, "input", [b"x" * 500]), TaskCodec().pickle, 400)]
