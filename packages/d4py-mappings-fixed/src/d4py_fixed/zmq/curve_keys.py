"""Keys of a run on several hosts, all derived from one secret, which the user passes on.

Connections are encrypted and authenticated by CURVE (ZeroMQ's RFC 26), with one key pair for peers
that accept connections and one for peers that connect.  Without the secret a peer has neither, so
its handshake fails before any of its data is read.
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
        secret: what they are derived from.
    """

    secret: str

    def __repr__(self) -> str:
        return "CurveKeys(…)"

    def accept(self, socket: zmq.Socket[bytes]) -> None:
        """Let a socket accept connections; its context needs an `Authenticator`."""
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.CURVE_SECRETKEY, self._secret_key(b"accept"))

    def connect(self, socket: zmq.Socket[bytes]) -> None:
        """Let a socket connect to sockets that `accept` was called for."""
        socket.set(zmq.CURVE_SERVERKEY, self._public_key(b"accept"))
        socket.set(zmq.CURVE_PUBLICKEY, self._public_key(b"connect"))
        socket.set(zmq.CURVE_SECRETKEY, self._secret_key(b"connect"))

    @property
    def allowed(self) -> bytes:
        """The public key of all peers that connect, in binary form."""
        return z85.decode(self._public_key(b"connect"))

    def _secret_key(self, role: bytes) -> bytes:
        hasher = blake2b(self.secret.encode(), digest_size=32, person=b"d4py " + role)
        return z85.encode(hasher.digest())

    def _public_key(self, role: bytes) -> bytes:
        return zmq.curve_public(self._secret_key(role))


class Authenticator(threading.Thread):
    """Accepts connections that have proved to have the run's key (ZeroMQ's RFC 27, ZAP).

    Ends when its context is terminated.  `docs/decisions/020-curve-authenticator.md` says why this
    is not `zmq.auth.thread.ThreadAuthenticator`.

    Args:
        context: the context whose sockets accept connections.
        keys: the run's keys.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: CurveKeys) -> None:
        super().__init__(name="d4py-authenticator", daemon=True)
        self._allowed = keys.allowed
        self._requests = context.socket(zmq.REP)
        self._requests.set(zmq.LINGER, 0)
        self._requests.bind("inproc://zeromq.zap.01")

    def run(self) -> None:
        """Answer requests until the context is terminated."""
        with contextlib.suppress(zmq.ContextTerminated):
            while True:
                version, request, _, _, _, mechanism, *keys = self._requests.recv_multipart()
                is_allowed = (
                    mechanism == b"CURVE"
                    and len(keys) == 1
                    and hmac.compare_digest(keys[0], self._allowed)
                )
                status = [b"200", b"OK"] if is_allowed else [b"400", b"unknown key"]
                self._requests.send_multipart([version, request, *status, b"", b""])
        self._requests.close()


@contextlib.contextmanager
def driver_keys(key_file: str | None) -> Iterator[tuple[CurveKeys, bool]]:
    """Provide the keys of a run that starts here, and whether its secret is new.

    See `dispel4py.processes.run_secret.driver_secret`.
    """
    with driver_secret(key_file) as secret:
        yield CurveKeys(secret.secret), secret.is_new


def agent_keys(key_file: str | None) -> CurveKeys:
    """Return the keys of a run that was started elsewhere; see `joining_secret`."""
    return CurveKeys(joining_secret(key_file))
