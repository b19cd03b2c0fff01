"""Where processes listen for ZeroMQ connections: Unix sockets on one host, TCP between hosts.

The listening sockets are made before the processes that use them are started.  So every address is
known, and can be connected to, before anybody is there to answer.
"""

from __future__ import annotations

import socket
from time import monotonic, sleep
from urllib.parse import urlsplit

from dispel4py.errors import OptionError, ServiceError

#: Connections that may wait to be accepted; the system may allow fewer.
_BACKLOG = 4096
_RETRY_SECONDS = 0.2


def listen_at_path(path: str) -> socket.socket:
    """Listen on a Unix socket."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    return _listening(listener)


def listen_at_host(host: str, port: int = 0) -> socket.socket:
    """Listen on TCP, by default on a port that is free.

    Raises:
        OptionError: it is no address of this host, or taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family)
        try:
            # A port whose last user has just ended can be taken at once.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise OptionError(f"cannot listen at tcp://{host}:{port}: {error.strerror}") from error
    return _listening(listener)


def address_of(listener: socket.socket) -> str:
    """The address to connect to, as ZeroMQ spells it."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"ipc://{name}"
    return tcp_address(*name[:2])


def tcp_address(host: str, port: int) -> str:
    """A TCP address as ZeroMQ spells it."""
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def host_and_port(address: str, option: str) -> tuple[str, int]:
    """The parts of ``tcp://HOST:PORT``.

    Raises:
        OptionError: it is no such address, or does not say which host is meant.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.scheme != "tcp" or not host or port is None or parts.path not in ("", "/"):
        raise OptionError(f"{option} is {address!r}; it has to look like tcp://HOST:PORT")
    if host in ("*", "0.0.0.0", "::"):
        raise OptionError(
            f"{option} is {address!r}; say by which of its addresses the other hosts reach this one"
        )
    return host, port


def way_to(host: str, port: int, seconds: float) -> tuple[str, str]:
    """By which of its addresses this host reaches another, and the address of that one.

    Waits until somebody listens there.

    Raises:
        ServiceError: nobody listens there for so long.
    """
    until = monotonic() + seconds
    while True:
        try:
            with socket.create_connection((host, port), max(0.1, until - monotonic())) as trial:
                if trial.getsockname() != trial.getpeername():  # not by chance our own port
                    return trial.getsockname()[0], tcp_address(*trial.getpeername()[:2])
        except OSError as error:
            if monotonic() >= until:
                raise ServiceError(
                    f"nobody listens at tcp://{host}:{port}: {error.strerror or error}"
                ) from error
            sleep(_RETRY_SECONDS)


def _listening(listener: socket.socket) -> socket.socket:
    listener.listen(_BACKLOG)
    listener.setblocking(False)  # for the thread that accepts: who called may be gone again
    return listener
