"""Ranks that keep the contract of `Transport`, control channels, and the listener of the driver."""

import re
import socket
import sys
from pathlib import Path

import pytest

pytest.importorskip("mpi4py")

from d4py_fixed.mpi.control_channel import DRIVER, ControlChannels, Kind
from d4py_fixed.mpi.launching.listener import Hello, Listener, connect
from dispel4py.errors import ServiceError

RANKS = Path(__file__).parent / "mpi_ranks.py"
CHECKS = re.findall(r"^def (\w+)\(rank, transport\):", RANKS.read_text(), re.MULTILINE)
KEY = b"k" * 32


def test_ranks_keep_the_contract(mpi):
    process = mpi.start_program([sys.executable, RANKS], under=["-n", 3])
    status, out, err = mpi.end(process, 120.0)
    assert out.split() == CHECKS, err
    assert status == 0, err


@pytest.fixture
def channels():
    """The channels of the driver to rank 1 and of the rank to the driver; the driver's socket."""
    a, b = socket.create_server(("127.0.0.1", 0)), None
    try:
        b = socket.create_connection(a.getsockname())
        ours, _ = a.accept()
    finally:
        a.close()
    driver, rank = ControlChannels(DRIVER, KEY), ControlChannels(1, KEY)
    driver.connect(1, ours)
    rank.connect(DRIVER, b)
    yield driver, rank, ours
    driver.close()
    rank.close()


class TestControlChannels:
    def test_messages_cross_both_ways(self, channels):
        driver, rank, _ = channels
        for n in range(3):
            driver.send(1, Kind.RANK_SPEC, [b"%d" % n, b"", b"x" * 50_000])
            rank.send(DRIVER, Kind.RUN_ENDED, [b"%d" % n])
        for n in range(3):
            peer, kind, parts = rank.receive(5.0)
            assert (peer, kind) == (DRIVER, Kind.RANK_SPEC)
            assert [bytes(part) for part in parts] == [b"%d" % n, b"", b"x" * 50_000]
            assert driver.receive(5.0) == (1, Kind.RUN_ENDED, [b"%d" % n])

    @pytest.mark.parametrize("repeated", [True, False])
    def test_a_changed_or_repeated_message_is_refused(self, channels, repeated):
        driver, rank, _ = channels
        message = driver._authenticated(1, Kind.FRAME, [b"good"])
        if repeated:
            rank._received[DRIVER] += 1
        driver._sockets.send(1, [message[0], b"good" if repeated else b"evil"])
        with pytest.raises(ServiceError, match="changed on its way"):
            rank.receive(5.0)

    def test_a_peer_that_has_ended_is_reported(self, channels):
        _driver, rank, ours = channels
        ours.shutdown(socket.SHUT_RDWR)
        while not rank.disconnected:
            assert rank.receive(0.05) is None
        assert rank.disconnected == [DRIVER]


class TestListener:
    @pytest.fixture
    def listener(self):
        listener = Listener(KEY)
        yield listener
        listener.close()

    def accept(self, listener, wait_until):
        """Return the connections that authenticate, once there is one."""
        accepted = []
        wait_until(lambda: accepted.extend(listener.accept(0.05)) or accepted, "a connection")
        return accepted

    def test_a_connection_with_the_key_is_accepted(self, listener, wait_until):
        hello = Hello(3, 5, 4711, is_remote=False)
        with connect(("127.0.0.1", listener.port), KEY, hello):
            ((connection, received),) = self.accept(listener, wait_until)
            assert received == hello
            connection.close()

    @pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n\r\n", b"x" * 1000])
    def test_other_connections_are_not_and_block_nothing(self, listener, wait_until, sent):
        address = "127.0.0.1", listener.port
        with socket.create_connection(address) as other:
            other.sendall(sent)
            with connect(address, KEY, Hello(0, 1, 2, is_remote=False)):
                ((connection, _),) = self.accept(listener, wait_until)
                connection.close()

    def test_a_connection_with_another_key_is_closed(self, listener):
        hello = Hello(0, 1, 2, is_remote=False)
        with connect(("127.0.0.1", listener.port), b"another", hello) as other:
            other.setblocking(False)
            accepted = []
            while not (ended := is_at_end(other)):
                accepted += listener.accept(0.05)
            assert (accepted, ended) == ([], True)


def is_at_end(connection):
    """Return whether the other end is closed."""
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
