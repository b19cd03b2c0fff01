"""Command-line options that name a Redis server and the key of a run.

This module does not import the client library, so that help texts are shown at once.
"""

from __future__ import annotations

import argparse
import os
import re
from urllib.parse import quote, unquote_plus

#: Where a server listens, unless another port is named.
DEFAULT_PORT = 6379

#: Default of --reconnect, in seconds; longer where another server takes over within that time.
RECONNECT_SECONDS, FAILOVER_SECONDS = 2.0, 60.0

#: Settings of a URL that name a file or a folder.
FILE_SETTINGS = "ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"
_FILES = re.compile(rf"(?<=[?&])((?:{'|'.join(FILE_SETTINGS)})=)([^&#]+)")


def with_absolute_files(url: str) -> str:
    """Return a URL in which the files of its settings have absolute names.

    They are opened for each connection, and a workflow or a PE may change the current folder.

    >>> with_absolute_files("rediss://host:6379?db=1&ssl_ca_certs=/etc/ca.pem")
    'rediss://host:6379?db=1&ssl_ca_certs=/etc/ca.pem'
    """

    def absolute(setting: re.Match[str]) -> str:
        name, value = setting.groups()
        if os.path.isabs(unquote_plus(value)):
            return setting[0]
        return f"{name}{quote(os.getcwd())}/{value}"

    return _FILES.sub(absolute, url)


def add_server_arguments(parser: argparse.ArgumentParser, *, may_start: bool = False) -> None:
    """Add the options that name the server.

    Args:
        parser: of a mapping or a command.
        may_start: where no server is found, a private one is started.
    """
    local = f"a server on localhost:{DEFAULT_PORT}"
    unnamed = f"{local}, or a private one" if may_start else f"or {local}"
    group = parser.add_argument_group("Redis")
    group.add_argument("-ri", "--redis-ip", metavar="HOST", help="host of the Redis server")
    group.add_argument(
        "-rp", "--redis-port", type=int, metavar="PORT", help=f"its port (default: {DEFAULT_PORT})"
    )
    group.add_argument(
        "--redis-url",
        type=with_absolute_files,
        metavar="URL",
        help="redis://[USER:PASSWORD@]HOST:PORT/DATABASE, rediss:// for TLS, or unix://PATH; of a"
        " Redis Cluster any node, or several: HOST:PORT,HOST:PORT; of Sentinels"
        " redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/PRIMARY; without any of these:"
        f" $REDIS_URL, {unnamed}",
    )
    group.add_argument(
        "--reconnect",
        type=float,
        metavar="SECONDS",
        help="how long to try to reach the server again when it has gone away"
        f" (default: {RECONNECT_SECONDS:g}; of a Redis Cluster or with Sentinels"
        f" {FAILOVER_SECONDS:g})",
    )


def add_key_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the file with the key of a run that is joined."""
    parser.add_argument(
        "--key-file",
        metavar="FILE",
        help="file with the run's key; the variable D4PY_KEY may hold the key instead",
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a run which another process drives."""
    add_server_arguments(parser)
    parser.add_argument(
        "--run", metavar="ID", help="which run (default: the one that the key opens)"
    )
    add_key_argument(parser)
    parser.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how long to wait for a run (default: %(default)g)",
    )
