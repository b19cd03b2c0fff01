"""How fast the ground is that a mapping stands on: the same work without d4py.

Each function passes `count` small integers through `STAGES` stages that change nothing, or through
one hop of a transport, or what its docstring describes, and returns the seconds that it took.  A
benchmark runs them beside the mapping, in the same minute, because only such ratios mean anything.
"""

from __future__ import annotations

import mmap
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from multiprocessing import connection, get_context, shared_memory
from multiprocessing.process import BaseProcess
from statistics import median
from time import monotonic, perf_counter, sleep
from typing import Any

STAGES = 5
MIB = 1 << 20

#: The baselines' processes are forked: what they run need not be importable.
_FORK = get_context("fork")


def plain_calls(count: int) -> float:
    """Objects that call each other, as a PE would without anything in between."""
    arrived: list[int] = []
    forward: Callable[[dict[str, int]], None] = lambda data: arrived.append(data["input"])  # noqa: E731
    for _ in range(STAGES):
        forward = _Stage(forward).process
    started_at = perf_counter()
    for number in range(count):
        forward({"input": number})
    seconds = perf_counter() - started_at
    assert len(arrived) == count
    return seconds


class _Stage:
    def __init__(self, forward: Callable[[dict[str, int]], None]) -> None:
        self._forward = forward

    def process(self, data: dict[str, int]) -> None:
        result = self._process(data["input"])
        if result is not None:
            self._forward({"input": result})

    def _process(self, data: int) -> int:
        return data


def generators(count: int) -> float:
    """Generators chained one on the other."""
    items: Iterable[int] = range(count)
    for _ in range(STAGES):
        items = _same(items)
    started_at = perf_counter()
    arrived = list(items)
    seconds = perf_counter() - started_at
    assert len(arrived) == count
    return seconds


def _same(items: Iterable[int]) -> Iterator[int]:
    for item in items:  # noqa: UP028 - `yield from` would do without the stage
        yield item


def bytewax(count: int, batch: int = 100) -> float:
    """Time the stream processor bytewax, in one process.

    Raises:
        ImportError: it is not installed.
    """
    operators = import_module("bytewax.operators")
    testing = import_module("bytewax.testing")
    arrived: list[int] = []
    flow = import_module("bytewax.dataflow").Dataflow("probe")
    stream = operators.input("source", flow, testing.TestingSource(range(count), batch_size=batch))
    for stage in range(STAGES):
        stream = operators.map(f"stage{stage}", stream, _identity)
    operators.output("sink", stream, testing.TestingSink(arrived))
    started_at = perf_counter()
    testing.run_main(flow)
    seconds = perf_counter() - started_at
    assert len(arrived) == count
    return seconds


def _identity(item: int) -> int:
    return item


def streamz(count: int) -> float:
    """Time the library streamz, in one process.

    Raises:
        ImportError: it is not installed.
    """
    arrived: list[int] = []
    source = stream = import_module("streamz").Stream()
    for _ in range(STAGES):
        stream = stream.map(_identity)
    stream.sink(arrived.append)
    started_at = perf_counter()
    for number in range(count):
        source.emit(number)
    seconds = perf_counter() - started_at
    assert len(arrived) == count
    return seconds


def ray(count: int, batch: int = 1000) -> float:
    """Ray, with an actor per stage, which hand batches on by reference.

    Raises:
        ImportError: it is not installed.
    """
    engine = import_module("ray")
    if not engine.is_initialized():
        engine.init(num_cpus=STAGES, include_dashboard=False, log_to_driver=False)
    actor = engine.remote(_Batches)
    stages = [actor.remote() for _ in range(STAGES)]
    engine.get([stage.process.remote([]) for stage in stages])  # they have started
    started_at = perf_counter()
    arriving = []
    for start in range(0, count, batch):
        items: Any = [*range(start, start + batch)]
        for stage in stages:
            items = stage.process.remote(items)
        arriving.append(items)
    arrived = sum(map(len, engine.get(arriving)))
    seconds = perf_counter() - started_at
    assert arrived == count
    for stage in stages:
        engine.kill(stage)
    return seconds


class _Batches:
    def process(self, items: list[int]) -> list[int]:
        return [_identity(item) for item in items]


def redis_stream(client: Any, count: int, batch: int = 1000) -> float:
    """Pass items, `batch` per entry, through a Redis stream: add, read, acknowledge, delete.

    Args:
        client: a `redis.Redis` that speaks RESP2.
        count: number of items; a multiple of `batch`.
        batch: items per entry.
    """
    stream, group = "d4py-conformance-probe", "probe"
    client.delete(stream)
    client.xgroup_create(stream, group, "0", mkstream=True)
    try:
        started_at = perf_counter()
        for start in range(0, count, batch):
            client.xadd(stream, {b"items": pickle.dumps([*range(start, start + batch)])})
        arrived = 0
        while arrived < count:
            answer = client.xreadgroup(group, "reader", {stream: ">"}, count=1)
            for entry_id, fields in dict(answer)[stream.encode()]:
                arrived += len(pickle.loads(fields[b"items"]))
                with client.pipeline(transaction=True) as pipeline:
                    pipeline.xack(stream, group, entry_id)
                    pipeline.xdel(stream, entry_id)
                    pipeline.execute()
        return perf_counter() - started_at
    finally:
        client.delete(stream)


@contextmanager
def _running(target: Callable[..., None], *arguments: Any) -> Iterator[BaseProcess]:
    """Run a function in a process, which has ended when the block is left."""
    process = _FORK.Process(target=target, args=arguments)
    process.start()
    try:
        yield process
    finally:
        process.join()


def pipe(count: int, batch: int = 1000) -> float:
    """Pass items, packed by `batch`, from one process to another through a pipe."""
    ours, theirs = _FORK.Pipe()

    def read() -> None:
        arrived = 0
        while arrived < count:
            arrived += len(pickle.loads(theirs.recv_bytes()))
        theirs.send_bytes(b"all")

    with _running(read):
        started_at = perf_counter()
        for start in range(0, count, batch):
            ours.send_bytes(pickle.dumps([*range(start, start + batch)]))
        ours.recv_bytes()
        return perf_counter() - started_at


def zeromq(count: int, batch: int = 1000) -> float:
    """Pass the same through ZeroMQ.

    Raises:
        ImportError: it is not installed.
    """
    zmq = import_module("zmq")
    with tempfile.TemporaryDirectory() as folder:
        address = f"ipc://{folder}/s"

        def read() -> None:
            with zmq.Context() as context, context.socket(zmq.PAIR) as socket:
                socket.connect(address)
                socket.send(b"there")
                arrived = 0
                while arrived < count:
                    arrived += len(pickle.loads(socket.recv()))
                socket.send(b"all")

        with _running(read), zmq.Context() as context, context.socket(zmq.PAIR) as socket:
            socket.bind(address)
            socket.recv()
            started_at = perf_counter()
            for start in range(0, count, batch):
                socket.send(pickle.dumps([*range(start, start + batch)]))
            socket.recv()
            return perf_counter() - started_at


def shared_arrays(count: int) -> float:
    """Arrays of 1 MiB from one process to another through shared memory, copied once."""
    numpy = import_module("numpy")
    ours, theirs = _FORK.Pipe()
    array = numpy.ones(MIB // 8)
    blocks = [shared_memory.SharedMemory(create=True, size=MIB) for _ in range(4)]
    views = [numpy.ndarray(array.shape, buffer=block.buf) for block in blocks]

    def read() -> None:
        total = 0.0
        for i in range(count):
            theirs.recv_bytes()
            total += views[i % 4][0]
            theirs.send_bytes(b"free")
        assert total == count

    try:
        with _running(read):
            started_at = perf_counter()
            for i in range(count):
                if i >= 4:
                    ours.recv_bytes()
                views[i % 4][:] = array
                ours.send_bytes(b"full")
            for _ in range(min(count, 4)):
                ours.recv_bytes()
            return perf_counter() - started_at
    finally:
        views.clear()  # they hold the blocks
        for block in blocks:
            block.close()
            block.unlink()


def chained_arrays(count: int, hops: int, blocks: int = 16) -> float:
    """New arrays of 1 MiB down a chain of processes, each of which copies them into its blocks.

    What the same chain costs that is made by hand, with nothing but the copies and a byte for each
    array on a pipe, and on another one for each block that is free again.
    """
    numpy = import_module("numpy")
    memory = [mmap.mmap(-1, blocks * MIB) for _ in range(hops)]
    arrays = [numpy.frombuffer(block).reshape(blocks, -1) for block in memory]
    full, free = ([_FORK.Pipe(duplex=False) for _ in range(hops)] for _ in range(2))

    def stage(number: int) -> None:
        for i in range(count):
            if number:
                full[number - 1][0].recv_bytes()
                array = arrays[number - 1][i % blocks]
            else:
                array = numpy.ones(MIB // 8)
            if number < hops:
                if i >= blocks:
                    free[number][0].recv_bytes()
                arrays[number][i % blocks] = array
                full[number][1].send_bytes(b"1")
            if number:
                free[number - 1][1].send_bytes(b"1")

    started_at = perf_counter()
    with ExitStack() as stages:
        for number in range(hops + 1):
            stages.enter_context(_running(stage, number))
    return perf_counter() - started_at


def side_by_side(work: Callable[[], object], processes: int) -> float:
    """Call a function once in each of so many processes at once."""
    started_at = perf_counter()
    running = [_FORK.Process(target=work) for _ in range(processes)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    return perf_counter() - started_at


def lone_items(count: int, pause: float) -> float:
    """Return the median seconds of a time stamp through `STAGES` pipes, one per pause."""
    took: list[float] = []
    ends = [_FORK.Pipe(duplex=False) for _ in range(STAGES)]

    def hand_on(source: connection.Connection, destination: connection.Connection) -> None:
        for _ in range(count):
            destination.send(source.recv())

    def write() -> None:
        for _ in range(count):
            sleep(pause)
            ends[0][1].send(monotonic())

    running = [
        _FORK.Process(target=hand_on, args=(ends[i][0], ends[i + 1][1])) for i in range(STAGES - 1)
    ]
    running.append(_FORK.Process(target=write))
    for process in running:
        process.start()
    for _ in range(count):
        took.append(ends[-1][0].recv() - monotonic())
    for process in running:
        process.join()
    return -median(took)


#: A program with so many forked processes that do nothing for a moment.
IDLE_PROCESSES = (
    "import multiprocessing as m, time; c = m.get_context('fork');"
    " ps = [c.Process(target=time.sleep, args=(0.3,)) for _ in range({})];"
    " [p.start() for p in ps]; [p.join() for p in ps]"
)


def start_interpreter(processes: int) -> float:
    """Starting Python, which forks so many processes that do nothing, and their end."""
    code = (
        "import multiprocessing as m; c = m.get_context('fork');"
        f" ps = [c.Process(target=int) for _ in range({processes})];"
        " [p.start() for p in ps]; [p.join() for p in ps]"
    )
    started_at = perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return perf_counter() - started_at
