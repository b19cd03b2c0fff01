"""Makes `pages` importable for the tests beside it, and starts a server for them."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from dynamic_helpers.servers import server_program, started_servers

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _mpiexec_runs_as_root(monkeypatch):
    """Let the mpiexec of a page run in a container, whose user is root; a reader is a user."""
    if os.geteuid() == 0:
        monkeypatch.setenv("OMPI_ALLOW_RUN_AS_ROOT", "1")
        monkeypatch.setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")


@pytest.fixture
def programs(_mpiexec_runs_as_root):
    """Return an environment whose path begins with the programs of this Python's environment."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture
def server(programs):
    """Start a server; return the variables by which runs and workers find it and each other."""
    server_program()
    with started_servers() as start:
        yield {**programs, "REDIS_URL": start().url, "D4PY_KEY": secrets.token_hex(32)}


@pytest.fixture
def share_work(server, tmp_path):
    """Return a function that runs a workflow while workers take part: their commands → the output.

    Both have to succeed.
    """

    def results_of(workers, run, **variables):
        with subprocess.Popen(workers, env={**server, **variables}, cwd=tmp_path) as process:
            done = subprocess.run(
                run, env=server, cwd=tmp_path, stdout=subprocess.PIPE, check=True, timeout=120
            )
            assert process.wait(30) == 0
        return done.stdout.decode()

    return results_of
