"""The keys of a run on several hosts: all follow from one secret, which reaches them by other ways.

Connections are encrypted and authenticated by CURVE (ZeroMQ's RFC 26), with one key pair for who is
connected to and one for who connects.  A stranger without the secret has neither, so the handshake
fails before a byte of his is looked at.
"""

from __future__ import annotations

import contextlib
import hmac
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import zmq
from zmq.utils import z85

from dispel4py.processes.run_secret import driver_secret, joining_secret


@dataclass(frozen=True)
class CurveKeys:
    """Key pairs of a run, in ZeroMQ's text form.

    Args:
        secret: what they follow from.
    """

    secret: str

    def __repr__(self) -> str:
        return "CurveKeys(…)"

    def accept(self, socket: zmq.Socket[bytes]) -> None:
        """Make a socket one that is connected to; its context needs a `Authenticator`."""
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.CURVE_SECRETKEY, self._secret_of(b"accept"))

    def connect(self, socket: zmq.Socket[bytes]) -> None:
        """Make a socket one that connects."""
        socket.set(zmq.CURVE_SERVERKEY, self._public_of(b"accept"))
        socket.set(zmq.CURVE_PUBLICKEY, self._public_of(b"connect"))
        socket.set(zmq.CURVE_SECRETKEY, self._secret_of(b"connect"))

    @property
    def allowed(self) -> bytes:
        """The public key of all who connect, as bytes."""
        return z85.decode(self._public_of(b"connect"))

    def _secret_of(self, role: bytes) -> bytes:
        hasher = blake2b(self.secret.encode(), digest_size=32, person=b"d4py " + role)
        return z85.encode(hasher.digest())

    def _public_of(self, role: bytes) -> bytes:
        return zmq.curve_public(self._secret_of(role))


class Authenticator(threading.Thread):
    """Lets in who proves to have the key of those who connect (ZeroMQ's RFC 27, ZAP).

    Ends when its context is terminated.

    Args:
        context: the context whose sockets it guards.
        keys: the run's keys.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: CurveKeys) -> None:
        super().__init__(name="d4py-gate", daemon=True)
        self._allowed = keys.allowed
        self._requests = context.socket(zmq.REP)
        self._requests.set(zmq.LINGER, 0)
        self._requests.bind("inproc://zeromq.zap.01")

    def run(self) -> None:
        """Answer until the context ends."""
        with contextlib.suppress(zmq.ContextTerminated):
            while True:
                version, number, _, _, _, mechanism, *key = self._requests.recv_multipart()
                known = (
                    mechanism == b"CURVE"
                    and len(key) == 1
                    and hmac.compare_digest(key[0], self._allowed)
                )
                answer = [b"200", b"welcome"] if known else [b"400", b"unknown key"]
                self._requests.send_multipart([version, number, *answer, b"", b""])
        self._requests.close()


@contextlib.contextmanager
def keys_of_driver(key_file: str | None) -> Iterator[tuple[CurveKeys, bool]]:
    """The keys of a run that starts here; see `dispel4py.processes.run_secret.driver_secret`."""
    with driver_secret(key_file) as (secret, to_tell, _):
        yield CurveKeys(secret), to_tell


def keys_of_guest(key_file: str | None) -> CurveKeys:
    """The keys of a run that was started elsewhere; see `joining_secret`."""
    return CurveKeys(joining_secret(key_file))
