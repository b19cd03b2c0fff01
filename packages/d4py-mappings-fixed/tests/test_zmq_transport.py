"""What is ZeroMQ's own about its transport: short queues, strangers, broken connections, keys."""

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

from d4py_conformance.subprocesses.programs import wait_until  # noqa: E402
from d4py_fixed.zmq.addresses import (  # noqa: E402
    address_of,
    host_and_port,
    listen_at_host,
    listen_at_path,
    way_to,
)
from d4py_fixed.zmq.curve_keys import CurveKeys, keys_of_driver, keys_of_guest  # noqa: E402
from d4py_fixed.zmq.transport import ConnectionLostError, ZmqTransport  # noqa: E402
from dispel4py.errors import OptionError, ServiceError  # noqa: E402

SOON = 10.0
SECRET = secrets.token_urlsafe(32)
MIB = 1 << 20


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def pair(stack):
    """Two ranks on TCP, and where the second listens."""

    def make(*, patience=None, through=lambda address: address):
        listeners = [listen_at_host("127.0.0.1") for _ in range(2)]
        zero_at, one_at = map(address_of, listeners)
        one = ZmqTransport(1, listeners[1], {0: zero_at}, CurveKeys(SECRET), patience)
        stack.callback(one.close)
        zero = ZmqTransport(0, listeners[0], {1: through(one_at)}, CurveKeys(SECRET), patience)
        stack.callback(zero.close)
        return zero, one, one_at

    return make


def take(transport, seconds=SOON):
    """The next frame's parts as bytes; None if there is none for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        arrived = transport.receive(0.1)
        if arrived is not None:
            return [bytes(part) for part in arrived[1]]
    return None


def test_c6_who_sends_faster_than_the_receiver_takes_is_held(tmp_path):
    listeners = [listen_at_path(str(tmp_path / str(rank))) for rank in range(2)]
    zero = ZmqTransport(0, listeners[0], {1: address_of(listeners[1])})
    one = ZmqTransport(1, listeners[1], {})
    sent = []

    def send():
        for n in range(300):
            zero.send(1, [bytes(MIB)])
            sent.append(n)

    thread = threading.Thread(target=send)
    thread.start()
    wait_until(lambda: len(sent) > 30, "the first frames")
    count = 0
    while count != len(sent):  # it comes to a halt
        count = len(sent)
        time.sleep(0.3)
    assert count <= 70  # 32 on either side, and what the system holds
    for _ in range(300):
        assert take(one) is not None
    thread.join()
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
    """Somehow they know the one public key, but the other secret they do not have."""
    CurveKeys(SECRET).connect(client)
    client.curve_publickey, client.curve_secretkey = zmq.curve_keypair()


@pytest.mark.parametrize("set_up", [no_keys, foreign_keys, half_the_keys])
def test_a_stranger_gets_nothing_in(pair, stack, tmp_path, set_up):
    zero, one, address = pair()
    stranger = zmq.Context()
    stack.callback(stranger.term)
    client = stack.enter_context(stranger.socket(zmq.DEALER))
    client.linger = 0
    set_up(client)
    client.connect(address)
    trap = pickle.dumps(Trap(str(tmp_path / "sprung")))
    head = b"\0\0\0\0" + b"\0\0\0\1" + len(trap).to_bytes(8, "big")
    client.send(head + trap)
    wait_until(lambda: one.strangers() == 1, "the stranger")
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
    where = host_and_port(address, "")
    with socket.create_connection(where) as stranger:
        with suppress(OSError):  # refused already
            stranger.sendall(garbage)
        zero.send(1, [b"a friend"])
        assert take(one) == [b"a friend"]
    assert take(one, 0.2) is None


def test_nobody_else_is_sent_anything(stack):
    # Who listens at the address of a rank without having the key learns nothing.
    listener = socket.create_server(("127.0.0.1", 0))
    stack.callback(listener.close)
    zero = ZmqTransport(
        0, listen_at_host("127.0.0.1"), {1: address_of(listener)}, CurveKeys(SECRET), None
    )
    zero.send(1, [b"the secret recipe"])
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
    assert b"recipe" not in got
    zero.close()
    impostor.close()


class Relay(threading.Thread):
    """Passes connections on, keeps what it saw, and changes a byte if it is told to."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self._to = host_and_port(address, "")
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

    zero, one, _ = pair(patience=0.0, through=through)
    return zero, one, relays[0]


def test_who_listens_in_reads_nothing(relayed):
    zero, one, relay = relayed
    zero.send(1, [b"the secret recipe", b"a large part of the secret recipe" * 3000])
    assert take(one) is not None
    assert len(relay.seen) > 99_000
    assert b"secret" not in relay.seen


def test_a_tampered_frame_is_dropped_and_its_sender_told(relayed):
    zero, one, relay = relayed
    zero.send(1, [b"good"])
    assert take(one) == [b"good"]
    relay.tamper = True
    zero.send(1, [b"good to be changed" * 10])
    with pytest.raises(ConnectionLostError, match="lost the connection to rank 1"):
        take(zero)
    assert take(one, 0.2) is None


def test_a_broken_connection_is_an_error_after_a_while(pair):
    zero, one, _ = pair(patience=0.5)
    zero.send(1, [b"hello"])
    assert take(one) == [b"hello"]
    one.close()
    closed_at = time.monotonic()
    with pytest.raises(ConnectionLostError) as caught:
        take(zero)
    assert 0.4 < time.monotonic() - closed_at < 3.0
    assert isinstance(caught.value, ServiceError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["", "5555", "tcp://", "tcp://host", "tcp://:5555", "tcp://h:port", "ipc://x", "tcp://h:1/x"],
)
def test_an_address_that_is_none_is_told(address):
    with pytest.raises(OptionError, match=r"--bind .* has to look like tcp://HOST:PORT"):
        host_and_port(address, "--bind")


def test_an_address_has_to_say_which_host():
    with pytest.raises(OptionError, match="by which of its addresses"):
        host_and_port("tcp://*:5555", "--bind")
    assert host_and_port("tcp://[::1]:5555", "--bind") == ("::1", 5555)
    assert host_and_port("tcp://node-7:5555", "--bind") == ("node-7", 5555)


def test_a_port_that_is_taken_is_told():
    with listen_at_host("127.0.0.1") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OptionError, match=f"cannot listen at tcp://127.0.0.1:{port}: Address"):
            listen_at_host("127.0.0.1", port)


def test_the_way_to_another_host_is_found_once_it_listens():
    with listen_at_host("127.0.0.1") as listener:
        port = listener.getsockname()[1]
        assert way_to("127.0.0.1", port, SOON) == ("127.0.0.1", f"tcp://127.0.0.1:{port}")
    with pytest.raises(ServiceError, match=f"nobody listens at tcp://127.0.0.1:{port}"):
        way_to("127.0.0.1", port, 0.5)


@pytest.fixture
def no_variable(monkeypatch):
    monkeypatch.delenv("D4PY_KEY", raising=False)


@pytest.mark.usefixtures("no_variable")
class TestKeys:
    def test_a_new_key_for_every_run(self):
        with keys_of_driver(None) as (one, to_tell), keys_of_driver(None) as (other, _):
            assert to_tell
            assert one != other
            assert one.secret not in repr(one)

    def test_the_variable_holds_the_key(self, monkeypatch):
        monkeypatch.setenv("D4PY_KEY", SECRET)
        with keys_of_driver(None) as (keys, to_tell):
            assert not to_tell
            assert keys == keys_of_guest(None) == CurveKeys(SECRET)

    def test_a_file_is_written_for_the_run_and_removed(self, tmp_path):
        path = str(tmp_path / "key")
        with keys_of_driver(path) as (keys, to_tell):
            assert not to_tell
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            assert keys_of_guest(path) == keys
        assert not os.path.exists(path)

    def test_a_file_that_is_there_is_used_and_stays(self, tmp_path):
        path = tmp_path / "key"
        path.write_text(SECRET + "\n")
        path.chmod(0o600)
        with keys_of_driver(str(path)) as (keys, _):
            assert keys == CurveKeys(SECRET)
        assert path.exists()

    def test_a_file_that_others_can_read_is_refused(self, tmp_path):
        path = tmp_path / "key"
        path.write_text(SECRET)
        path.chmod(0o640)
        with pytest.raises(OptionError, match="others can read"):
            keys_of_guest(str(path))

    def test_a_key_that_could_be_guessed_is_refused(self, monkeypatch):
        monkeypatch.setenv("D4PY_KEY", "password")
        with pytest.raises(OptionError, match="has 8 characters; it must have at least 32"):
            keys_of_guest(None)

    def test_a_guest_needs_a_key(self, tmp_path):
        with pytest.raises(OptionError, match="set D4PY_KEY, or name a --key-file"):
            keys_of_guest(None)
        with pytest.raises(OptionError, match="there is no file"):
            keys_of_guest(str(tmp_path / "key"))
        with pytest.raises(OptionError, match="cannot write"), keys_of_driver("/nowhere/key"):
            pass
