"""Checks of the contract of `Transport` by the ranks of an MPI world.

Started by mpiexec as ``mpi_ranks.py``.  The ranks carry out all functions of `CHECKS` one after
the other, and the first rank prints the name of each one that has passed on all ranks.
"""

import os
import resource
import socket
import time
from contextlib import contextmanager, nullcontext

from d4py_conformance.waiting import LIMIT, NEVER
from d4py_fixed.mpi.ranks.mpi_start import start_mpi

MPI = start_mpi()

from d4py_fixed.mpi.control_channel import DRIVER, ControlChannels, Kind  # noqa: E402
from d4py_fixed.mpi.limits import MpiLimits  # noqa: E402
from d4py_fixed.mpi.ranks.machine_memory import share_machine_memory  # noqa: E402
from d4py_fixed.mpi.ranks.transport import MpiTransport, RunStopped  # noqa: E402
from d4py_fixed.mpi.ranks.wakeup_socket import WakeupSocket  # noqa: E402
from d4py_fixed.shared_memory.transport import SharedMemoryTransport  # noqa: E402

MIB = 1 << 20


def take(transport, count):
    """Return so many frames, as (rank, [bytes, …])."""
    frames, until = [], time.monotonic() + LIMIT
    while len(frames) < count:
        arrived = transport.receive(0.5)
        if arrived is not None:
            frames.append((arrived[0], [bytes(part) for part in arrived[1]]))
        assert time.monotonic() < until, f"{len(frames)} of {count} frames came"
    return frames


def frames_arrive_whole(rank, transport):
    for parts in (
        [b"a"],
        [b""],
        [b"", b"", b""],
        [b"head", b"x" * 100_000, b"", b"y" * 10, b"z" * 40_000],
        [bytes([n % 256]) * n for n in range(1000)],
        [b"head", bytes(range(256)) * 4 * 1024 * 120],
    ):
        if rank == 0:
            transport.send(1, parts)
        elif rank == 1:
            assert take(transport, 1) == [(0, parts)]


def frames_in_pieces_arrive_whole(rank, transport):
    for parts in ([b"x" * 1000], [b"x" * 1001], [b"abc" * 12_345], [b"head", b"", b"xy" * 54_321]):
        if rank == 0:
            transport.send(1, parts)
        elif rank == 1:
            assert take(transport, 1) == [(0, parts)]


def frames_of_many_senders_keep_their_order(rank, transport):
    count, size = 400, MPI.COMM_WORLD.Get_size()
    if rank:
        for n in range(count):
            transport.send(0, [b"%d" % n, *([b"x" * (n % 7 * 10_000)] if n % 2 else [])])
        return
    frames = take(transport, count * (size - 1))
    for sender in range(1, size):
        assert [int(parts[0]) for r, parts in frames if r == sender] == [*range(count)]


def senders_of_big_frames_do_not_block_each_other(rank, transport):
    other = (rank + 1) % MPI.COMM_WORLD.Get_size()
    for n in range(4):
        transport.send(other, [b"%d" % n, bytes(20 * MIB)])
    assert [int(parts[0]) for _, parts in take(transport, 4)] == [0, 1, 2, 3]


def parts_may_be_used_again(rank, transport):
    small, large = bytearray(10), bytearray(MIB)
    for n in range(20):
        if rank == 0:
            small[:] = b"%d" % (n % 10) * 10
            large[:] = b"%d" % (n % 10) * MIB
            transport.send(1, [small, memoryview(large).cast("B", [2, MIB // 2])])
    small[:] = large[:10] = b"x" * 10
    if rank == 1:
        for n, (_, parts) in enumerate(take(transport, 20)):
            assert [set(part) for part in parts] == [{ord(str(n % 10))}] * 2


def received_parts_are_the_receivers_own(rank, transport):
    parts = [b"small", b"large" * MIB]
    if rank == 0:
        transport.send(1, parts)
        transport.send(2, parts)
        assert parts == [b"small", b"large" * MIB]
    else:
        _, got = transport.receive(LIMIT)
        memoryview(got[0])[:] = b"SMALL"
        memoryview(got[1])[:5] = b"LARGE"
        assert bytes(got[1][:10]) == b"LARGElarge"


def a_rank_that_waits_is_notified(rank, transport):
    """The notification ends the wait, not the pause after which MPI is probed all the same."""
    if rank == 0:
        transport.receive(NEVER)
        transport.send(1, [b"answer"])
    elif rank == 1:
        time.sleep(0.1)  # by now rank 0 has come to its longest pause
        transport.send(0, [b"question"])
        assert take(transport, 1) == [(0, [b"answer"])]


def a_rank_that_waits_uses_little_processor_time(rank, transport):
    if rank == 0:
        before = time.process_time()
        assert transport.receive(1.0) is None
        used = time.process_time() - before
        assert used < 0.1, "a rank that polled without a pause would use a second"


def a_rank_that_reads_nothing_blocks_no_other(rank, transport):
    if rank == 0:
        for n in range(100):
            transport.send(1, [b"%d" % n, bytes(MIB)])
        transport.send(2, [b"unblocked"])
    elif rank == 2:
        assert take(transport, 1) == [(0, [b"unblocked"])]
    MPI.COMM_WORLD.Barrier()  # rank 1 reads nothing before rank 2 has its frame
    if rank == 1:
        assert [int(parts[0]) for _, parts in take(transport, 100)] == [*range(100)]


def a_stop_of_the_driver_comes_before_a_receive_without_a_frame(rank, transport):
    """C4: however many frames arrive, a rank that has received them all knows of the stop."""
    if rank == 1:
        for n in range(100):
            transport.send(0, [b"%d" % n])
    elif rank == 0:
        driver = ControlChannels(DRIVER, b"key")
        with socket.create_server(("127.0.0.1", 0)) as server:
            transport._channels.connect(DRIVER, socket.create_connection(server.getsockname()))
            driver.connect(0, server.accept()[0])
        driver.send(0, Kind.STOP)
        received = 0
        try:
            while transport.receive(0.0) is not None:
                received += 1
        except RunStopped:
            take(transport, 100 - received)
        else:
            raise AssertionError(f"no stop after {received} frames")
        transport.driver = driver  # its end would be a stop as well


@contextmanager
def open_files_left(count):
    """Let this process open no more than so many files."""
    os.close(used := os.dup(0))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + count, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def large_parts_arrive_by_shared_memory_or_else_by_mpi(rank, transport):
    world = MPI.COMM_WORLD
    others = set(range(world.Get_size())) - {rank}
    for machine_of, files, shared in (
        (lambda rank: 0, 99, others),
        (lambda rank: rank == 1, 99, set() if rank == 1 else others - {1}),
        (lambda rank: 0, 2, set() if rank == 1 else others - {1}),  # for its own arena only
        (lambda rank: 0, 0, set() if rank == 1 else others - {1}),
    ):
        machine = world.Split(machine_of(rank), rank)
        with open_files_left(files) if rank == 1 else nullcontext():
            memory = share_machine_memory(machine, rank)
        machine.Free()
        assert set(memory.files) == shared
        sharing = SharedMemoryTransport(transport, memory, others - shared)
        parts = [b"head", bytes([rank]) * MIB, b""]
        for other in others:
            sharing.send(other, parts)
        frames = sorted(take(sharing, len(others)))
        assert frames == [(other, [b"head", bytes([other]) * MIB, b""]) for other in sorted(others)]
        assert sharing.receive(0.0) is None  # which reports the blocks that are free
        world.Barrier()
        assert sharing.receive(0.5) is None
        assert not memory.arena or memory.arena.is_empty
        world.Barrier()


CHECKS = [
    frames_arrive_whole,
    frames_in_pieces_arrive_whole,
    frames_of_many_senders_keep_their_order,
    senders_of_big_frames_do_not_block_each_other,
    parts_may_be_used_again,
    received_parts_are_the_receivers_own,
    a_rank_that_waits_is_notified,
    a_rank_that_waits_uses_little_processor_time,
    a_rank_that_reads_nothing_blocks_no_other,
    a_stop_of_the_driver_comes_before_a_receive_without_a_frame,
    large_parts_arrive_by_shared_memory_or_else_by_mpi,
]
#: Pauses so long that nothing but a notification can end them in time.
LIMITS = {
    frames_in_pieces_arrive_whole: MpiLimits(piece_bytes=1000, joined_bytes=0),
    a_rank_that_waits_is_notified: MpiLimits(idle_pause_seconds=NEVER),
}


def main():
    world = MPI.COMM_WORLD
    rank, size = world.Get_rank(), world.Get_size()
    channel, _driver = socket.socketpair()
    machine = world.Split_type(MPI.COMM_TYPE_SHARED)
    frames, bodies = world.Dup(), world.Dup()
    for check in CHECKS:
        limits = LIMITS.get(check, MpiLimits())
        wakeup = WakeupSocket(world, machine, channel, limits)
        for _ in range(2):  # runs follow each other
            channels = ControlChannels(rank, b"key")
            transport = MpiTransport(frames, bodies, channels, wakeup, size, limits)
            check(rank, transport)
            transport.drain([peer for peer in range(size) if peer != rank])
            assert transport.receive(0.0) is None
            transport.close()
            world.Barrier()  # as the driver waits for all
        wakeup.close()
        if rank == 0:
            print(check.__name__, flush=True)
    MPI.Finalize()


if __name__ == "__main__":
    main()
