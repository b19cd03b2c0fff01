"""How fast the ground is that a mapping stands on: the same work without d4py.

Each function passes `count` small integers through `STAGES` stages that change nothing, or through
one hop of a transport, or what its docstring describes, and returns the seconds that it took.  A
benchmark runs them beside the mapping, in the same minute, because only such ratios mean anything.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import connection, get_context
from multiprocessing.process import BaseProcess
from statistics import median
from time import monotonic, perf_counter, sleep
from typing import Any

STAGES = 5

#: The baselines' processes are forked: what they run need not be importable.
_FORK = get_context("fork")


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
