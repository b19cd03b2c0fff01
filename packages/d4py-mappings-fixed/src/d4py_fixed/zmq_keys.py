"""The keys of a run on several hosts: all follow from one secret, which reaches them by other ways.

Connections are encrypted and authenticated by CURVE (ZeroMQ's RFC 26), with one key pair for who is
connected to and one for who connects.  A stranger without the secret has neither, so the handshake
fails before a byte of his is looked at.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import zmq
from zmq.utils import z85

from dispel4py.errors import OptionError

#: Environment variable that holds the secret.
VARIABLE = "D4PY_KEY"
#: What is shorter could be found by trial.
_SHORTEST_SECRET = 32


@dataclass(frozen=True)
class Keys:
    """Key pairs of a run, in ZeroMQ's text form.

    Args:
        secret: what they follow from.

    Raises:
        OptionError: the secret is so short that it could be guessed.
    """

    secret: str

    def __post_init__(self) -> None:
        if len(self.secret) < _SHORTEST_SECRET:
            raise OptionError(
                f"the key ({VARIABLE} or --key-file) has {len(self.secret)} characters; it needs"
                f" {_SHORTEST_SECRET}: python -c 'import secrets; print(secrets.token_urlsafe())'"
            )

    def __repr__(self) -> str:
        return "Keys(…)"

    def accept(self, socket: zmq.Socket[bytes]) -> None:
        """Make a socket one that is connected to; its context needs a `Gate`."""
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


class Gate(threading.Thread):
    """Lets in who proves to have the key of those who connect (ZeroMQ's RFC 27, ZAP).

    Ends when its context is terminated.

    Args:
        context: the context whose sockets it guards.
        keys: the run's keys.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: Keys) -> None:
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
def keys_of_driver(key_file: str | None) -> Iterator[tuple[Keys, bool]]:
    """The keys of a run that starts here, and whether its secret still has to be told.

    They are those of the environment or of the file.  A file that is not there is written, and
    removed at the end; without either the secret is new, and only this process knows it.

    Raises:
        OptionError: the file cannot be used.
    """
    given = _given(key_file, may_lack=True)
    if given is not None:
        yield Keys(given), False
        return
    secret = secrets.token_urlsafe(32)
    if key_file is None:
        yield Keys(secret), True
        return
    try:
        with open(os.open(key_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secret + "\n")
    except OSError as error:
        raise OptionError(f"cannot write {key_file} (--key-file): {error.strerror}") from error
    try:
        yield Keys(secret), False
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(key_file)


def keys_of_guest(key_file: str | None) -> Keys:
    """The keys of a run that was started elsewhere.

    Raises:
        OptionError: neither the environment nor a file has them.
    """
    given = _given(key_file, may_lack=False)
    if given is None:
        raise OptionError(f"the run's key is missing: set {VARIABLE}, or name a --key-file")
    return Keys(given)


def _given(key_file: str | None, *, may_lack: bool) -> str | None:
    if key_file is None:
        return os.environ.get(VARIABLE) or None
    try:
        with open(key_file, encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise OptionError(f"others can read {key_file} (--key-file); chmod 600 {key_file}")
            return file.read().strip()
    except FileNotFoundError as error:
        if may_lack:
            return None
        raise OptionError(f"there is no file {key_file} (--key-file)") from error
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"cannot read {key_file} (--key-file): {error}") from error
