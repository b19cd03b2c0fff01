"""What the system limits: open files, and the length of a socket's path."""

import subprocess
import sys

import pytest

from d4py_dynamic.store.redis.connections import server as redis_server
from d4py_dynamic.store.redis.connections.client import connect
from d4py_dynamic.store.redis.connections.server import find_server

SCRIPT = """
import resource, sys
from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.errors import OptionError

class Numbers(ProducerPE):
    number = 0
    def _process(self, inputs):
        self.number += 1
        return self.number

class Relay(IterativePE):
    def _process(self, data):
        return data

if __name__ == "__main__":
    mapping, soft, hard, processes = sys.argv[1], *map(int, sys.argv[2:])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard or most))
    graph = WorkflowGraph()
    graph.connect(Numbers(), "output", Relay(), "input")
    try:
        print(len(run(graph, mapping, 5, processes).outputs["Relay1"]["output"]))
    except OptionError as error:
        print(error)
"""


@pytest.fixture
def execute(tmp_path, need_server):
    """Runs a workflow in a program that may have so many open files."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)

    def execute(*arguments):
        command = [sys.executable, str(path), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return execute


@pytest.mark.parametrize("mapping", ["dyn_multi", "dyn_redis"])
def test_too_few_open_files_for_the_workers_are_reported(execute, mapping):
    out = execute(mapping, 64, 64, 60)
    assert out.startswith("60 worker processes need ")
    assert "the hard limit is 64; use fewer processes (-n)" in out


@pytest.mark.parametrize("mapping", ["dyn_multi", "dyn_redis"])
def test_more_open_files_than_usual_are_used(execute, mapping):
    assert execute(mapping, 40, 0, 12) == "5\n"


@pytest.mark.usefixtures("need_server")
def test_a_private_server_starts_with_any_length_of_tmpdir(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setattr(redis_server, "DEFAULT_PORT", 1)
    with find_server({}) as address, connect(address) as client:
        assert client.ping()
    assert [*long.iterdir()] == []
