"""What a whole command costs by hand: processes, and the transport between them, for one item.

Called with a transport (fork, redis, mpi) and a number of processes; with mpi, mpiexec starts them.
"""

from __future__ import annotations

import multiprocessing
from contextlib import ExitStack
from typing import Any

from redis_server import redis_server
from report import arguments, report

_FORK = multiprocessing.get_context("fork")


def fork(processes: int) -> None:
    """Send an item to each process by a pipe, and one back."""
    pipes = [_FORK.Pipe() for _ in range(processes)]

    def relay(number: int) -> None:
        pipes[number][1].send(pipes[number][1].recv())

    _exchange(relay, [(ours.send, ours.recv) for ours, _ in pipes])


def redis(processes: int) -> None:
    """Do the same by lists of a Redis server of its own."""
    from redis import Redis

    with redis_server() as url:

        def relay(number: int) -> None:
            client = Redis.from_url(url)
            client.rpush(f"from{number}", client.blpop([f"to{number}"])[1])

        client: Any = Redis.from_url(url)
        ends = [
            (
                lambda item, name=f"to{number}": client.rpush(name, item),
                lambda name=f"from{number}": client.blpop([name]),
            )
            for number in range(processes)
        ]
        _exchange(relay, ends)


def mpi(processes: int) -> None:
    """Pass an item from rank to rank."""
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    if world.rank:
        world.recv(source=world.rank - 1)
    if world.rank < world.size - 1:
        world.send(1, world.rank + 1)
    if world.rank:
        raise SystemExit


def _exchange(relay: Any, ends: list[Any]) -> None:
    with ExitStack() as stack:
        for number in range(len(ends)):
            process = _FORK.Process(target=relay, args=(number,))
            process.start()
            stack.callback(process.join)
        for send, _ in ends:
            send(1)
        for _, receive in ends:
            receive()


def main() -> None:
    """Run it."""
    way, processes = arguments()
    {"fork": fork, "redis": redis, "mpi": mpi}[way](processes)
    report(0.0, 1)


if __name__ == "__main__":
    main()
