"""Fixtures: Redis servers, runs and programs in processes, and checks of what they leave."""

import multiprocessing
import os
import tempfile
from pathlib import Path

import pytest
from dynamic_helpers.servers import emptied, server_program, started_servers

from d4py_conformance import suite
from d4py_conformance.subprocesses.programs import Program, file_writer
from d4py_conformance.waiting import NEVER, wait_until
from dispel4py import run
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


@pytest.fixture(scope="session")
def need_server():
    """Skips where there is no server program; fails where CI says that there must be one."""
    return server_program()


@pytest.fixture
def start_server(need_server):
    """Starts servers: ``start_server(*options)``; they are stopped after the test."""
    with started_servers() as start:
        yield start


@pytest.fixture(scope="session")
def _shared_server(need_server):
    with started_servers() as start:
        yield start()


@pytest.fixture
def server(_shared_server):
    """A server that is empty before the test, and must be empty after it."""
    with emptied(_shared_server):
        yield _shared_server


@pytest.fixture
def execute(server):
    """Runs a graph with hybrid_redis on `server`; no process may be left behind.

    No worker counts as lost because it sends no heartbeat.
    """

    def execute(graph, inputs=1, processes=2, **options):
        return run(
            graph,
            "hybrid_redis",
            inputs,
            processes,
            **{"redis_url": server.url, "lease": NEVER, **options},
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
from d4py_dynamic.store.redis.connections import server as redis_server
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

    return file_writer(tmp_path)
