"""Listening sockets and their addresses: Unix sockets on one host, TCP between hosts.

The sockets are made before the processes that use them are started.  So all addresses are known,
and can be connected to, before a process is ready to accept connections.
"""

from __future__ import annotations

import socket
from time import monotonic, sleep
from urllib.parse import urlsplit

from dispel4py.errors import OptionError, ServiceError

#: Connections that may wait to be accepted; the system may allow fewer.
_BACKLOG = 4096
#: Seconds between two attempts to connect.
_RETRY_SECONDS = 0.2


def listen_at_path(path: str) -> socket.socket:
    """Listen on a Unix socket."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    return _listening(listener)


def listen_at_host(host: str, port: int = 0) -> socket.socket:
    """Listen on TCP, by default on a free port.

    Raises:
        OptionError: the host has no such address, or the port is taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family)
        try:
            # The port of a process that has just ended can be reused at once.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise OptionError(f"cannot listen at tcp://{host}:{port}: {error.strerror}") from error
    return _listening(listener)


def address_of(listener: socket.socket) -> str:
    """Return the address to connect to, in ZeroMQ's form."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"ipc://{name}"
    return tcp_address(*name[:2])


def tcp_address(host: str, port: int) -> str:
    """Return a TCP address in ZeroMQ's form."""
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def parse_address(address: str, option: str) -> tuple[str, int]:
    """Return host and port of ``tcp://HOST:PORT``.

    Raises:
        OptionError: the address has another form, or names no single host.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.scheme != "tcp" or not host or port is None or parts.path not in ("", "/"):
        raise OptionError(f"{option} is {address!r}; it must have the form tcp://HOST:PORT")
    if host in ("*", "0.0.0.0", "::"):
        raise OptionError(
            f"{option} is {address!r}; it must be an address by which other hosts reach this one"
        )
    return host, port


def find_route(host: str, port: int, seconds: float) -> tuple[str, str]:
    """Wait until a host listens; return this host's address on the route, and the other one's.

    Raises:
        ServiceError: no connection could be made in time.
    """
    until = monotonic() + seconds
    while True:
        try:
            with socket.create_connection((host, port), max(0.1, until - monotonic())) as trial:
                if trial.getsockname() != trial.getpeername():  # TCP may connect to itself
                    return trial.getsockname()[0], tcp_address(*trial.getpeername()[:2])
        except OSError as error:
            if monotonic() >= until:
                raise ServiceError(
                    f"cannot connect to tcp://{host}:{port}: {error.strerror or error}"
                ) from error
            sleep(_RETRY_SECONDS)


def _listening(listener: socket.socket) -> socket.socket:
    listener.listen(_BACKLOG)
    listener.setblocking(False)  # a pending connection may be gone when it is accepted
    return listener
