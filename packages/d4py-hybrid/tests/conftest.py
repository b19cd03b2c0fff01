"""Fixtures: Redis servers, runs and programs in processes, and checks of what they leave."""

import multiprocessing
import os
import shutil
import subprocess
import tempfile
import textwrap
from pathlib import Path

import pytest
import redis

from d4py_conformance import suite
from d4py_conformance.subprocesses.programs import LIMIT, Program, wait_until
from d4py_dynamic.store.redis.server import server_binary
from dispel4py import run
from dispel4py.errors import ServiceError
from dispel4py.loading import load_module

HERE = Path(__file__).parent


@pytest.fixture(name="wait_until", scope="session")
def _wait_until():
    return wait_until


@pytest.fixture(scope="session")
def flows():
    """The module flows.py, as a workflow file."""
    return load_module(str(HERE / "flows.py")).module


@pytest.fixture(scope="session")
def chain():
    """Makes a graph in which each PE's ``output`` is joined to the next one's ``input``."""
    return suite.chain


class Server:
    """A Valkey server on a Unix socket in a temporary folder."""

    def __init__(self, *options):
        self.folder = Path(tempfile.mkdtemp(prefix="d4py-test-"))
        self.url = f"unix://{self.folder}/redis.sock"
        command = [server_binary(), "--port", "0", "--unixsocket", f"{self.folder}/redis.sock"]
        command += ["--dir", str(self.folder), "--save", "", "--appendonly", "no", *options]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        wait_until(self._answers, "the server's start")

    def client(self):
        return redis.from_url(self.url, socket_timeout=LIMIT)

    def keys(self):
        with self.client() as client:
            return client.keys("*")

    def peak(self):
        """Return the most memory that the server has used, in bytes."""
        with self.client() as client:
            return client.info("memory")["used_memory_peak"]

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self):
        assert self.process.poll() is None, "the server ended"
        try:
            with self.client() as client:
                return client.ping()
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False


@pytest.fixture(scope="session")
def _program():
    """Skips where there is no server program; fails where CI says that there must be one."""
    try:
        return server_binary()
    except ServiceError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def start_server(_program):
    """Starts servers: ``start_server(*options)``; they are stopped after the test."""
    servers = []

    def start(*options):
        servers.append(Server(*options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def _shared_server(_program):
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def server(_shared_server):
    """A server that is empty before the test, and must be empty after it."""
    with _shared_server.client() as client:
        client.flushall()
    yield _shared_server
    assert _shared_server.keys() == []


@pytest.fixture
def execute(server):
    """Runs a graph with hybrid_redis on `server`; no process may be left behind."""

    def execute(graph, inputs=1, processes=2, **options):
        return run(
            graph,
            "hybrid_redis",
            inputs,
            processes,
            **{"redis_url": server.url, **options},
        )

    yield execute
    assert multiprocessing.active_children() == []


@pytest.fixture
def temporary(monkeypatch, tmp_path_factory):
    """An empty folder for temporary files, with a path short enough for a socket."""
    tmp_path_factory.getbasetemp()  # pytest's own place stays where it is
    with tempfile.TemporaryDirectory(prefix="d4py-test-") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(folder)


#: The command, which ignores any server at the default port.
COMMAND = """
import sys
from d4py_dynamic.store.redis import server as redis_server
redis_server.DEFAULT_PORT = 1
from d4py_cli.main import main
sys.exit(main())
"""


@pytest.fixture
def start(tmp_path, temporary):
    """Starts Python programs in `tmp_path`, with `temporary` for temporary files."""
    if not Path("/proc").is_dir():
        pytest.skip("looks for processes in /proc")
    programs = []
    hidden = ("PYTHONPATH", "PYTHONHASHSEED", "REDIS_URL", "COLUMNS", "TERM")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment["PYTHONPATH"] = str(HERE)

    def start_program(*arguments, **more):
        programs.append(Program(tmp_path, arguments, environment | more))
        return programs[-1]

    yield start_program
    for program in programs:
        program.clean_up()


@pytest.fixture
def command(start):
    """Starts ``dispel4py …``, which ignores any server at the default port."""
    return lambda *arguments, **more: start("-c", COMMAND, *arguments, **more)


@pytest.fixture
def write(tmp_path):
    """Writes a file of the program's folder."""

    def write_file(name, text):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write_file
