"""The contract of `Transport`, for every transport that connects ranks of one machine."""

import os
import secrets
import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from itertools import combinations

import pytest
from fixed_helpers.in_process import InProcessTransport

from d4py_conformance.waiting import LIMIT, NEVER
from d4py_fixed.local.socket_transport import SocketTransport
from d4py_fixed.shared_memory.arena import Arena
from d4py_fixed.shared_memory.transport import SharedMemory, SharedMemoryTransport
from dispel4py.shared_memory.arena_file import ArenaFile

MIB = 1 << 20


@contextmanager
def in_process(ranks):
    """The test double."""
    yield InProcessTransport.connected(ranks)


@contextmanager
def sockets(ranks):
    """The sockets of `multi`, without shared memory."""
    ends = [{} for _ in range(ranks)]
    for a, b in combinations(range(ranks), 2):
        ends[a][b], ends[b][a] = socket.socketpair()
    yield [SocketTransport(of_rank) for of_rank in ends]


@contextmanager
def shared_memory(ranks):
    """The transport of `multi`."""
    with ExitStack() as stack, sockets(ranks) as inner:
        files = [ArenaFile() for _ in range(ranks)]
        for file in files:
            stack.callback(file.close)
        yield [
            SharedMemoryTransport(inner[rank], SharedMemory(Arena(file), dict(enumerate(files))))
            for rank, file in enumerate(files)
        ]


@contextmanager
def zmq_local(ranks):
    """ZeroMQ as `zmq_multi` uses it on one host, without shared memory."""
    pytest.importorskip("zmq")
    from d4py_fixed.zmq.addresses import listen_at_path
    from dispel4py.files.socket_directory import SocketDirectory

    with SocketDirectory("d4py-zmq-") as folder:
        yield zmq_ranks([listen_at_path(f"{folder}/{rank}") for rank in range(ranks)], None)


@contextmanager
def zmq_hosts(ranks):
    """ZeroMQ as `zmq_multi` uses it between hosts."""
    pytest.importorskip("zmq")
    from d4py_fixed.zmq.addresses import listen_at_host
    from d4py_fixed.zmq.curve_keys import CurveKeys

    listeners = [listen_at_host("127.0.0.1") for _ in range(ranks)]
    yield zmq_ranks(listeners, CurveKeys(secrets.token_urlsafe(32)))


def zmq_ranks(listeners, keys):
    from d4py_fixed.zmq.addresses import address_of
    from d4py_fixed.zmq.transport import ZmqTransport

    where = {rank: address_of(listener) for rank, listener in enumerate(listeners)}
    return [
        ZmqTransport(
            rank, listener, {peer: where[peer] for peer in where if peer != rank}, keys, 60.0
        )
        for rank, listener in enumerate(listeners)
    ]


TRANSPORTS = [in_process, sockets, shared_memory, zmq_local, zmq_hosts]


@pytest.fixture(params=TRANSPORTS, ids=lambda made: made.__name__)
def connect(request):
    """Makes the transports of a number of ranks, all connected; closes them at the end."""
    with ExitStack() as stack:

        def connected(ranks):
            made = stack.enter_context(request.param(ranks))
            for transport in made:
                stack.callback(transport.close)
            return made

        yield connected


@pytest.fixture
def meanwhile():
    """Runs functions in threads; an exception in one fails the test."""
    threads, errors = [], []

    def start(function, *arguments):
        def run():
            try:
                function(*arguments)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run, daemon=True)
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


def take(transport, count, seconds=LIMIT):
    """Return the next frames, as (rank, [bytes, …])."""
    frames, until = [], time.monotonic() + seconds
    while len(frames) < count:
        arrived = transport.receive(0.5)
        if arrived is not None:
            frames.append((arrived[0], [bytes(part) for part in arrived[1]]))
        assert time.monotonic() < until, f"{len(frames)} of {count} frames arrived"
    return frames


class TestTransport:
    @pytest.mark.parametrize(
        "parts",
        [
            [b"a"],
            [b""],
            [b"", b"", b""],
            [b"head", b"x" * 100_000, b"", b"y" * 10, b"z" * 40_000],
            [b"x" * (32 * 1024 - 1), b"y" * 32 * 1024, b"z" * (32 * 1024 + 1)],
            [bytes([n % 256]) * n for n in range(1000)],
        ],
        ids=["one", "empty", "all empty", "mixed", "at the limit", "many"],
    )
    def test_a_frame_arrives_whole(self, connect, meanwhile, parts):
        zero, one = connect(2)
        meanwhile(zero.send, 1, parts)
        assert take(one, 1) == [(0, parts)]
        assert one.receive(0.0) is None

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, "array"])
    def test_anything_with_a_buffer_is_a_part(self, connect, meanwhile, kind):
        data = bytes(range(256)) * 300
        part = memoryview(data).cast("d", [96, 100]) if kind == "array" else kind(data)
        zero, one = connect(2)
        meanwhile(zero.send, 1, [b"head", part])
        assert take(one, 1) == [(0, [b"head", data])]

    def test_frames_can_be_sent_in_both_directions(self, connect):
        zero, one = connect(2)
        zero.send(1, [b"there"])
        assert take(one, 1) == [(0, [b"there"])]
        one.send(0, [b"back"])
        assert take(zero, 1) == [(1, [b"back"])]

    def test_frames_of_many_senders_keep_their_order(self, connect, meanwhile):
        receiver, *senders = connect(6)
        count = 400
        for sender in senders:
            meanwhile(
                lambda sender=sender: [
                    sender.send(0, [b"%d" % n, b"x" * (n % 7 * 10_000)]) for n in range(count)
                ]
            )
        frames = take(receiver, count * len(senders))
        for rank in range(1, 6):
            numbers = [int(parts[0]) for sender, parts in frames if sender == rank]
            assert numbers == list(range(count))

    def test_a_big_frame_arrives(self, connect, meanwhile):
        zero, one = connect(2)
        big = os.urandom(MIB) * 50
        meanwhile(zero.send, 1, [b"head", big])
        ((_, parts),) = take(one, 1)
        assert parts == [b"head", big]

    def test_two_ranks_that_send_big_frames_to_each_other_do_not_block(self, connect, meanwhile):
        ranks = connect(2)
        big = bytes(20 * MIB)

        def talk(rank):
            for n in range(4):
                ranks[rank].send(1 - rank, [b"%d" % n, big])
            frames = take(ranks[rank], 4)
            assert [int(parts[0]) for _, parts in frames] == [0, 1, 2, 3]

        for rank in (0, 1):
            meanwhile(talk, rank)

    def test_many_ranks_that_send_small_frames_in_a_ring_do_not_block(self, connect, meanwhile):
        ranks = connect(3)

        def talk(rank):
            for n in range(2000):
                ranks[rank].send((rank + 1) % 3, [b"%d" % n, bytes(1000)])
            take(ranks[rank], 2000)

        for rank in range(3):
            meanwhile(talk, rank)

    def test_a_send_that_waits_goes_on_receiving(self, connect, meanwhile):
        zero, one, two = connect(3)
        held_up = meanwhile(lambda: [zero.send(1, [bytes(MIB)]) for _ in range(200)])
        sending = meanwhile(lambda: [two.send(0, [b"%d" % n, bytes(MIB)]) for n in range(20)])
        sending.join(LIMIT)  # although zero is sending to one, which does not read yet
        assert not sending.is_alive()
        assert len(take(one, 200)) == 200
        held_up.join(LIMIT)
        assert [int(parts[0]) for _, parts in take(zero, 20)] == list(range(20))

    def test_parts_may_be_reused_when_they_were_sent(self, connect, meanwhile):
        zero, one = connect(2)

        def send():
            small, large = bytearray(b"0" * 10), bytearray(b"0" * MIB)
            for n in range(20):
                small[:] = b"%d" % (n % 10) * 10
                large[:] = b"%d" % (n % 10) * MIB
                zero.send(1, [small, large])
            small[:] = large[:10] = b"x" * 10

        meanwhile(send)
        for n, (_, parts) in enumerate(take(one, 20)):
            assert [set(part) for part in parts] == [{ord(str(n % 10))}] * 2

    def test_received_parts_are_writable_and_private_to_the_receiver(self, connect, meanwhile):
        zero, one, two = connect(3)
        parts = [b"small", b"small", b"large" * MIB]
        meanwhile(lambda: [zero.send(rank, parts) for rank in (1, 2)])
        for receiver in (one, two):
            _, got = receiver.receive(LIMIT)
            assert [bytes(part) for part in got] == parts
            memoryview(got[0])[:] = b"SMALL"
            memoryview(got[2])[:5] = b"LARGE"
            assert bytes(got[1]) == b"small"
            assert bytes(got[2][:10]) == b"LARGElarge"
        assert parts == [b"small", b"small", b"large" * MIB]

    def test_received_parts_stay_valid_after_close(self, connect, meanwhile):
        zero, one = connect(2)
        meanwhile(lambda: [zero.send(1, [b"%d" % n, b"%03d" % n * 20_000]) for n in range(100)])
        kept = []
        while len(kept) < 100:
            arrived = one.receive(0.5)
            if arrived is not None:
                kept.append(arrived[1])
        one.close()
        for n, (small, large) in enumerate(kept):
            assert bytes(small) == b"%d" % n
            assert bytes(large) == b"%03d" % n * 20_000

    def test_receive_waits_for_the_given_time(self, connect):
        zero, one = connect(2)
        started_at = time.monotonic()
        assert zero.receive(0.3) is None
        assert time.monotonic() - started_at > 0.25
        for _ in range(10_000):  # for many minutes, if it waited at all
            assert zero.receive(0.0) is None
        one.send(0, [b"now"])
        assert take(zero, 1) == [(1, [b"now"])]

    def test_a_frame_ends_the_wait_of_its_receiver(self, connect, meanwhile):
        zero, one = connect(2)
        received = []
        waiting = meanwhile(lambda: received.append(zero.receive(NEVER)))
        one.send(0, [b"wake up"])
        waiting.join(LIMIT)
        assert [(rank, *map(bytes, parts)) for rank, parts in received] == [(1, b"wake up")]

    def test_frames_sent_before_close_arrive(self, connect, meanwhile):
        zero, one = connect(2)

        def send():
            for n in range(300):
                zero.send(1, [b"%d" % n, bytes(50_000)])
            zero.close()

        meanwhile(send)
        assert [int(parts[0]) for _, parts in take(one, 300)] == list(range(300))
        assert one.receive(0.1) is None

    def test_frames_to_a_rank_that_has_ended_are_dropped(self, connect):
        zero, one, two = connect(3)
        one.send(0, [b"bye"])
        assert take(zero, 1) == [(1, [b"bye"])]
        one.close()
        for _ in range(300):  # more than fits into any queue: a send that waits would hang here
            zero.send(1, [bytes(MIB)])
        assert zero.receive(0.0) is None
        zero.send(2, [b"still here"])
        assert take(two, 1) == [(0, [b"still here"])]

    def test_a_send_that_waits_returns_when_the_receiver_ends(self, connect, meanwhile):
        zero, one = connect(2)
        zero.send(1, [b"first"])
        take(one, 1)
        begun = threading.Event()

        def send():
            begun.set()
            for _ in range(300):  # more than fits into any queue
                zero.send(1, [bytes(MIB)])

        sending = meanwhile(send)
        begun.wait(LIMIT)
        time.sleep(0.2)  # by now it waits
        one.close()
        sending.join(LIMIT)
        assert not sending.is_alive()

    def test_closing_does_not_wait_for_a_receiver_that_does_not_read(self, connect, meanwhile):
        zero, one = connect(2)
        for n in range(3):  # no more than fits into the queues
            zero.send(1, [b"%d" % n, bytes(10_000)])
        closing = meanwhile(zero.close)
        closing.join(LIMIT)
        assert not closing.is_alive()
        one.close()

    def test_a_transport_can_be_closed_twice(self, connect):
        (zero,) = connect(1)
        zero.close()
        zero.close()


def test_of_a_frame_that_has_arrived_a_socket_knows_by_the_second_look():
    with sockets(2) as (zero, one):
        for number in range(3):
            zero.send(1, [b"%d" % number])
            assert (one.receive(0.0) or one.receive(0.0)) == (0, [b"%d" % number])
        assert [one.receive(0.0), one.receive(0.0)] == [None, None]
        zero.close()
        one.close()
