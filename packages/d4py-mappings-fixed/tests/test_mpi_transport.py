"""What an `mpi` run stands on: ranks that keep the contract of `Transport`, and their lines."""

import socket
import sys
from pathlib import Path

import pytest

pytest.importorskip("mpi4py")

from d4py_fixed.mpi.control_channel import DRIVER, ControlChannels, Hello, Kind, Listener, dial
from dispel4py.errors import ServiceError

HERE = Path(__file__).parent
SCENES = [
    line.removeprefix("def ").partition("(")[0]
    for line in (HERE / "mpi_ranks.py").read_text().splitlines()
    if line.startswith("def ") and line.endswith("(rank, transport):")
]
KEY = b"k" * 32


@pytest.mark.parametrize("scene", SCENES)
def test_ranks_keep_the_contract(mpi, scene):
    command = [sys.executable, HERE / "mpi_ranks.py", scene]
    status, out, err = mpi.end(mpi.start_program(command, under=["-n", 3]))
    assert status == 0, err
    assert out.split() == ["done"] * 3


@pytest.fixture
def lines():
    """The driver's line to rank 1, the rank's to the driver, and the socket of the first."""
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


class TestLines:
    def test_messages_cross_both_ways(self, lines):
        driver, rank, _ = lines
        for n in range(3):
            driver.send(1, Kind.ORDERS, [b"%d" % n, b"", b"x" * 50_000])
            rank.send(DRIVER, Kind.OUT, [b"%d" % n])
        for n in range(3):
            peer, kind, parts = rank.receive(5.0)
            assert (peer, kind) == (DRIVER, Kind.ORDERS)
            assert [bytes(part) for part in parts] == [b"%d" % n, b"", b"x" * 50_000]
            assert driver.receive(5.0) == (1, Kind.OUT, [b"%d" % n])

    @pytest.mark.parametrize("repeated", [True, False])
    def test_what_was_changed_on_its_way_is_refused(self, lines, repeated):
        driver, rank, _ = lines
        message = driver._sealed(1, Kind.FRAME, [b"good"])
        if repeated:
            rank._received[DRIVER] += 1
        driver._pipes.send(1, [message[0], b"good" if repeated else b"evil"])
        with pytest.raises(ServiceError, match="changed on its way"):
            rank.receive(5.0)

    def test_one_that_is_gone_is_known(self, lines):
        _driver, rank, ours = lines
        ours.shutdown(socket.SHUT_RDWR)
        assert rank.receive(0.5) is None
        assert rank.gone == [DRIVER]


class TestDoor:
    @pytest.fixture
    def door(self):
        door = Listener(KEY)
        yield door
        door.close()

    def callers(self, door):
        found = []
        for _ in range(10):
            found += door.callers(0.05)
        return found

    def test_who_has_the_key_comes_in(self, door):
        hello = Hello(3, 5, 4711, is_wide=False)
        ours = dial(("127.0.0.1", door.port), KEY, hello)
        ((line, heard),) = self.callers(door)
        assert heard == hello
        line.close()
        ours.close()

    @pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n\r\n", b"x" * 1000])
    def test_strangers_do_not_and_hold_nobody_up(self, door, said):
        with socket.create_connection(("127.0.0.1", door.port)) as stranger:
            stranger.sendall(said)
            ours = dial(("127.0.0.1", door.port), KEY, Hello(0, 1, 2, is_wide=False))
            ((line, _),) = self.callers(door)
            line.close()
            ours.close()

    def test_neither_does_one_with_another_key(self, door):
        ours = dial(("127.0.0.1", door.port), b"another", Hello(0, 1, 2, is_wide=False))
        assert self.callers(door) == []
        assert ours.recv(1) == b""
        ours.close()
