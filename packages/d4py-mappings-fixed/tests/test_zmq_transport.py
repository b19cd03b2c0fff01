"""`ZmqTransport` beyond the contract: short queues, rejected and lost connections, keys."""

import os
import pickle
import secrets
import select
import socket
import stat
import threading
import time
from contextlib import ExitStack, suppress

import pytest

zmq = pytest.importorskip("zmq")

from d4py_conformance.waiting import LIMIT, wait_until  # noqa: E402
from d4py_fixed.zmq.addresses import (  # noqa: E402
    address_of,
    find_route,
    listen_at_host,
    listen_at_path,
    parse_address,
)
from d4py_fixed.zmq.curve_keys import CurveKeys, agent_keys, driver_keys  # noqa: E402
from d4py_fixed.zmq.transport import ConnectionLostError, ZmqTransport  # noqa: E402
from dispel4py.errors import OptionError, ServiceError  # noqa: E402

SECRET = secrets.token_urlsafe(32)
MIB = 1 << 20


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def pair(stack):
    """Two ranks on TCP, and the address of the second."""

    def make(*, grace_seconds=None, through=lambda address: address):
        listeners = [listen_at_host("127.0.0.1") for _ in range(2)]
        zero_at, one_at = map(address_of, listeners)
        one = ZmqTransport(1, listeners[1], {0: zero_at}, CurveKeys(SECRET), grace_seconds)
        stack.callback(one.close)
        zero = ZmqTransport(0, listeners[0], {1: through(one_at)}, CurveKeys(SECRET), grace_seconds)
        stack.callback(zero.close)
        return zero, one, one_at

    return make


def take(transport, seconds=LIMIT):
    """Return the next frame's parts as bytes; None if none arrives in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        arrived = transport.receive(0.1)
        if arrived is not None:
            return [bytes(part) for part in arrived[1]]
    return None


class WaitingError(Exception):
    """Raised by the `check` of a `send` that waits."""


def test_c6_a_sender_waits_for_a_slow_receiver(tmp_path):
    def check():
        raise WaitingError

    listeners = [listen_at_path(str(tmp_path / str(rank))) for rank in range(2)]
    zero = ZmqTransport(0, listeners[0], {1: address_of(listeners[1])}, check=check)
    one = ZmqTransport(1, listeners[1], {})
    sent = 0
    with suppress(WaitingError):
        while sent < 300:
            zero.send(1, [bytes(MIB)])
            sent += 1
    assert 30 < sent <= 70  # 32 on either side, and what the system holds
    for _ in range(sent):
        assert take(one) is not None
    zero.close()
    one.close()


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def no_keys(client):
    pass


def foreign_keys(client):
    public, secret = zmq.curve_keypair()
    client.curve_serverkey, _ = zmq.curve_keypair()
    client.curve_publickey, client.curve_secretkey = public, secret


def half_the_keys(client):
    """The client knows the server's public key, but not the secret key of clients."""
    CurveKeys(SECRET).connect(client)
    client.curve_publickey, client.curve_secretkey = zmq.curve_keypair()


@pytest.mark.parametrize("set_up", [no_keys, foreign_keys, half_the_keys])
def test_data_of_a_client_without_the_key_is_never_read(pair, stack, tmp_path, set_up):
    zero, one, address = pair()
    foreign = zmq.Context()
    stack.callback(foreign.term)
    client = stack.enter_context(foreign.socket(zmq.DEALER))
    client.linger = 0
    set_up(client)
    client.connect(address)
    trap = pickle.dumps(Trap(str(tmp_path / "sprung")))
    head = b"\0\0\0\0" + b"\0\0\0\1" + len(trap).to_bytes(8, "big")
    client.send(head + trap)
    wait_until(one.rejected_connections, "the rejection")  # of the client, which may try again
    assert take(one, 0.3) is None
    assert not (tmp_path / "sprung").exists()
    zero.send(1, [b"a friend"])
    assert take(one) == [b"a friend"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        os.urandom(3000),
        b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + bytes(40_000),
    ],
    ids=["nothing", "http", "random", "half a greeting"],
)
def test_garbage_is_dropped(pair, garbage):
    zero, one, address = pair()
    where = parse_address(address, "")
    with socket.create_connection(where) as client:
        with suppress(OSError):  # refused already
            client.sendall(garbage)
        zero.send(1, [b"a friend"])
        assert take(one) == [b"a friend"]
    assert take(one, 0.2) is None


def test_nothing_is_sent_to_a_server_without_the_key(stack):
    listener = socket.create_server(("127.0.0.1", 0))
    stack.callback(listener.close)
    zero = ZmqTransport(
        0, listen_at_host("127.0.0.1"), {1: address_of(listener)}, CurveKeys(SECRET), None
    )
    zero.send(1, [b"the secret formula"])
    impostor, _ = listener.accept()
    # The greeting of ZeroMQ's protocol, and then a handshake that needs the key.
    impostor.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + b"\1")
    impostor.sendall(bytes(31))
    got = b""
    impostor.settimeout(1.0)
    with suppress(TimeoutError):
        while data := impostor.recv(65536):
            got += data
    assert b"HELLO" in got
    assert b"formula" not in got
    zero.close()
    impostor.close()


class Relay(threading.Thread):
    """Forwards connections, records their data, and changes a byte if `tamper` is set."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self._to = parse_address(address, "")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = address_of(self._listener)
        self.seen = b""
        self.tamper = False
        self._stopping = False

    def run(self):
        inside, _ = self._listener.accept()
        with inside, socket.create_connection(self._to) as outside:
            other = {inside: outside, outside: inside}
            while not self._stopping:
                for ready in select.select(list(other), [], [], 0.05)[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    self.seen += data
                    if self.tamper and ready is inside and len(data) > 100:
                        data = data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]
                    other[ready].sendall(data)

    def stop(self):
        self._stopping = True
        self.join()
        self._listener.close()


@pytest.fixture
def relayed(pair, stack):
    """A pair with a relay between zero and one."""
    relays = []

    def through(address):
        relays.append(Relay(address))
        relays[0].start()
        stack.callback(relays[0].stop)
        return relays[0].address

    zero, one, _ = pair(grace_seconds=0.0, through=through)
    return zero, one, relays[0]


def test_frames_cannot_be_read_on_the_way(relayed):
    zero, one, relay = relayed
    zero.send(1, [b"the secret formula", b"a large part of the secret formula" * 3000])
    assert take(one) is not None
    assert len(relay.seen) > 99_000
    assert b"secret" not in relay.seen


def test_a_changed_frame_is_dropped_and_its_sender_gets_an_error(relayed):
    zero, one, relay = relayed
    zero.send(1, [b"good"])
    assert take(one) == [b"good"]
    relay.tamper = True
    zero.send(1, [b"good to be changed" * 10])
    with pytest.raises(ConnectionLostError, match="lost the connection to rank 1"):
        take(zero)
    assert take(one, 0.2) is None


def test_a_lost_connection_is_an_error_after_the_grace_period(pair):
    zero, one, _ = pair(grace_seconds=0.5)
    zero.send(1, [b"hello"])
    assert take(one) == [b"hello"]
    one.close()
    closed_at = time.monotonic()
    with pytest.raises(ConnectionLostError) as caught:
        take(zero)
    assert time.monotonic() - closed_at > 0.4
    assert isinstance(caught.value, ServiceError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["", "5555", "tcp://", "tcp://host", "tcp://:5555", "tcp://h:port", "ipc://x", "tcp://h:1/x"],
)
def test_an_invalid_address_is_an_error(address):
    with pytest.raises(OptionError, match=r"--bind .* must have the form tcp://HOST:PORT"):
        parse_address(address, "--bind")


def test_an_address_must_name_a_single_host():
    with pytest.raises(OptionError, match="by which other hosts reach this one"):
        parse_address("tcp://*:5555", "--bind")
    assert parse_address("tcp://[::1]:5555", "--bind") == ("::1", 5555)
    assert parse_address("tcp://node-7:5555", "--bind") == ("node-7", 5555)


def test_a_port_that_is_taken_is_an_error():
    with listen_at_host("127.0.0.1") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OptionError, match=f"cannot listen at tcp://127.0.0.1:{port}: Address"):
            listen_at_host("127.0.0.1", port)


def test_the_route_to_another_host_is_found_once_it_listens():
    with listen_at_host("127.0.0.1") as listener:
        port = listener.getsockname()[1]
        assert find_route("127.0.0.1", port, LIMIT) == ("127.0.0.1", f"tcp://127.0.0.1:{port}")
    with pytest.raises(ServiceError, match=f"cannot connect to tcp://127.0.0.1:{port}"):
        find_route("127.0.0.1", port, 0.5)


@pytest.fixture
def no_variable(monkeypatch):
    monkeypatch.delenv("D4PY_KEY", raising=False)


@pytest.mark.usefixtures("no_variable")
class TestKeys:
    def test_each_run_has_a_new_key(self):
        with driver_keys(None) as (one, is_new), driver_keys(None) as (other, _):
            assert is_new
            assert one != other
            assert one.secret not in repr(one)

    def test_the_variable_holds_the_key(self, monkeypatch):
        monkeypatch.setenv("D4PY_KEY", SECRET)
        with driver_keys(None) as (keys, is_new):
            assert not is_new
            assert keys == agent_keys(None) == CurveKeys(SECRET)

    def test_a_file_is_written_for_the_run_and_removed(self, tmp_path):
        path = str(tmp_path / "key")
        with driver_keys(path) as (keys, is_new):
            assert not is_new
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            assert agent_keys(path) == keys
        assert not os.path.exists(path)

    def test_an_existing_file_is_used_and_stays(self, tmp_path):
        path = tmp_path / "key"
        path.write_text(SECRET + "\n")
        path.chmod(0o600)
        with driver_keys(str(path)) as (keys, _):
            assert keys == CurveKeys(SECRET)
        assert path.exists()

    def test_a_file_that_others_can_read_is_refused(self, tmp_path):
        path = tmp_path / "key"
        path.write_text(SECRET)
        path.chmod(0o640)
        with pytest.raises(OptionError, match="others can read"):
            agent_keys(str(path))

    def test_a_short_key_is_refused(self, monkeypatch):
        monkeypatch.setenv("D4PY_KEY", "password")
        with pytest.raises(OptionError, match="has 8 characters; it must have at least 32"):
            agent_keys(None)

    def test_an_agent_needs_a_key(self, tmp_path):
        with pytest.raises(OptionError, match="set D4PY_KEY or use --key-file"):
            agent_keys(None)
        with pytest.raises(OptionError, match="there is no file"):
            agent_keys(str(tmp_path / "key"))
        with pytest.raises(OptionError, match="cannot write"), driver_keys("/nowhere/key"):
            pass
