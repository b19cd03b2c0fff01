"""Valkey servers for tests: each on a Unix socket in a temporary folder of its own.

Two servers that start at the same time could choose the same port; a socket belongs to one.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from d4py_conformance.waiting import LIMIT, wait_until
from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.connections.server import server_binary
from dispel4py.errors import ServiceError


class Server:
    """A server that saves nothing, unless its options say so.

    Args:
        options: of the server's command line.

    Attributes:
        folder: holds its socket and what it saves.
        url: its address, as `--redis-url` takes it.
    """

    def __init__(self, *options):
        self.folder = Path(tempfile.mkdtemp(prefix="d4py-test-"))
        self.url = f"unix://{self.folder}/redis.sock"
        command = [server_program(), "--port", "0", "--unixsocket", f"{self.folder}/redis.sock"]
        command += ["--dir", str(self.folder), "--save", "", "--appendonly", "no", *options]
        self._command = command
        self._begin()

    def _begin(self):
        self.process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        wait_until(self._answers, "the server's start")

    def kill(self):
        """Kill the server."""
        self.process.kill()
        self.process.wait()

    def restart(self):
        """Kill the server, and start it again with what it has saved."""
        self.kill()
        self._begin()

    def stand_still(self, seconds):
        """Stop the server, and continue it after some seconds; return at once."""
        self.process.send_signal(signal.SIGSTOP)
        threading.Timer(seconds, self.process.send_signal, [signal.SIGCONT]).start()

    @contextmanager
    def stopped(self):
        """Stop the server for as long as the block lasts."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    @property
    def address(self):
        """Its address, as stores take it."""
        return Address(self.url)

    def client(self):
        """Return a client of the server."""
        return redis.from_url(self.url, socket_timeout=LIMIT)

    def keys(self):
        """Return all keys."""
        with self.client() as client:
            return client.keys("*")

    def peak(self):
        """Return the most memory that the server has used, in bytes."""
        with self.client() as client:
            return client.info("memory")["used_memory_peak"]

    def stop(self):
        """Kill the server, and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self):
        assert self.process.poll() is None, "the server ended"
        try:
            with self.client() as client:
                return client.ping()
        except (redis.AuthenticationError, redis.ResponseError):  # that is an answer, too
            return True
        except redis.ConnectionError:
            return False


def server_program():
    """Return the server's program; where there is none, skip the test, or fail it in CI.

    The variable D4PY_TEST_SERVER names another one than d4py takes by itself.
    """
    if named := os.environ.get("D4PY_TEST_SERVER"):
        return named
    try:
        return server_binary()
    except ServiceError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@contextmanager
def started_servers():
    """Return a function that starts a server; the block's end stops all of them."""
    servers = []

    def start(*options):
        servers.append(Server(*options))
        return servers[-1]

    try:
        yield start
    finally:
        for server in servers:
            server.stop()


@contextmanager
def emptied(server):
    """Empty a server before the block, and check that the block leaves it empty."""
    with server.client() as client:
        client.flushall()
    yield server
    assert server.keys() == []
