"""The address of a live page: a port of the loopback interface, and a token."""

from __future__ import annotations

import secrets
import socket
from importlib.util import find_spec
from typing import NamedTuple

from dispel4py.errors import OptionError

_HOST = "127.0.0.1"


class PageAddress(NamedTuple):
    """Where a page is served.

    Attributes:
        listener: the socket, which listens.
        token: what requests must have.
        url: the address with the token.
    """

    listener: socket.socket
    token: str
    url: str


def open_address(port: int, option: str) -> PageAddress:
    """Return an address on this machine, which cannot be reached without its token.

    Args:
        port: the port; 0 chooses a free one.
        option: what needs it, for messages.

    Raises:
        OptionError: the port cannot be used, or a library is missing.
    """
    for name in ("bokeh", "jinja2", "starlette", "uvicorn"):
        if find_spec(name) is None:
            raise OptionError(
                f"{option} needs {name}, which is not installed: run pip install 'd4py-cli[ui]'"
            )
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        reason = "it must be from 0 to 65535"
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
        raise OptionError(
            f"{option}: port {port} cannot be used: {reason}; choose another, or none"
        ) from error
    token = secrets.token_urlsafe(24)
    return PageAddress(
        listener, token, f"http://{_HOST}:{listener.getsockname()[1]}/?token={token}"
    )
