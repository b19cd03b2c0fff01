"""Fixtures: programs in real processes, and checks that a run has left nothing behind."""

import multiprocessing.util
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import pytest
from fixed_helpers.zmq_hosts import Hosts, host_folders
from hypothesis import settings

from d4py_conformance import suite
from d4py_conformance.subprocesses import programs
from d4py_conformance.subprocesses.programs import file_writer
from d4py_conformance.waiting import LIMIT, wait_until, wait_until_none
from dispel4py import run
from dispel4py.errors import UsageError
from dispel4py.loading import load_module

# A slow machine is no failure, and examples are the same on all machines.
settings.register_profile("d4py", deadline=None, derandomize=True)
settings.load_profile("d4py")

#: A program, which starts MPI when it is imported.
collect_ignore = ["mpi_ranks.py"]

HERE = Path(__file__).parent


@pytest.fixture(name="wait_until", scope="session")
def _wait_until():
    return wait_until


@pytest.fixture(scope="session")
def flows():
    """The module fixed_flows.py, as a workflow file."""
    return load_module(str(HERE / "fixed_flows.py")).module


@pytest.fixture(scope="session")
def chain():
    """Makes a graph in which each PE's ``output`` is joined to the next one's ``input``."""
    return suite.chain


@pytest.fixture(params=["multi", "zmq_multi"])
def mapping(request):
    """Name of a mapping that runs on one machine."""
    if request.param == "zmq_multi":
        pytest.importorskip("zmq")
    return request.param


@pytest.fixture(scope="session", autouse=True)
def _temporary_files():
    """Put the temporary files of all runs into a folder whose path is short enough for sockets."""
    multiprocessing.util.get_temp_dir()  # outside of that folder, since it exists until exit
    folder = tempfile.TemporaryDirectory(prefix="d4py-test-")
    with folder as path, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", path)
        patch.setattr(tempfile, "tempdir", path)
        yield


def left_behind(folder):
    """Return the temporary files that runs have left."""
    return list(Path(folder).glob("d4py-*"))


@pytest.fixture
def execute(mapping):
    """Runs a graph, and checks that no process and no file is left.

    Processes are forked where possible, because that is fastest.
    """
    default = {"start_method": "fork"} if sys.platform == "linux" else {}

    def execute(graph, inputs=1, processes=None, **options):
        return run(graph, mapping, inputs, processes, **{**default, **options})

    yield execute
    assert multiprocessing.active_children() == []
    assert left_behind(tempfile.gettempdir()) == []


class Program(programs.Program):
    """A program with a private folder for temporary files."""

    def __init__(self, folder, arguments, environment, standard_input=None):
        self.temporary = tempfile.mkdtemp(prefix="program-")
        environment = environment | {"TMPDIR": self.temporary}
        super().__init__(folder, arguments, environment, standard_input)

    def left(self):
        """Return its processes that run, and its temporary files."""
        return [*self.process.described(), *Path(self.temporary).iterdir()]

    def wait_until_gone(self):
        """Wait until none of them is left."""
        wait_until_none(self.left, "the end of all processes and files")


@pytest.fixture
def start(tmp_path):
    """Starts Python programs in `tmp_path`."""
    if not Path("/proc").is_dir():
        pytest.skip("looks for processes in /proc")
    programs = []
    hidden = ("PYTHONPATH", "PYTHONHASHSEED", "COLUMNS", "TERM")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment["PYTHONPATH"] = str(HERE)

    def start_program(*arguments, standard_input=None, **more):
        programs.append(Program(tmp_path, arguments, environment | more, standard_input))
        return programs[-1]

    yield start_program
    for program in programs:
        program.clean_up()


@pytest.fixture
def command(start):
    """Starts ``dispel4py …``."""
    return lambda *arguments, **more: start("-m", "dispel4py", *arguments, **more)


@pytest.fixture
def write(tmp_path):
    """Writes a file of the program's folder."""

    return file_writer(tmp_path)


class MpiProcesses:
    """Commands that start MPI processes, and whatever comes of them, known by a mark.

    Args:
        mark: the value of the variable `MARK` in the environment of all of them.
        mpiexec: the command that starts ranks.
        folder: where commands run.
        temporary: where they put temporary files.
    """

    MARK = "D4PY_TEST_MARK"
    RANK = (b"OMPI_COMM_WORLD_RANK", b"PMI_RANK")
    PROGRAM = b"d4py_fixed.mpi.ranks.main"

    def __init__(self, mark, mpiexec, folder, temporary):
        self.mark, self.mpiexec = mark, mpiexec
        self.folder, self.temporary = folder, temporary
        self.started = []

    def start(self, *arguments, under=None, stdin=subprocess.DEVNULL, **more):
        """Start ``dispel4py mpi …``; with `under`, by ``mpiexec`` and these options."""
        command = [sys.executable, "-m", "dispel4py", "mpi", *arguments]
        return self.start_program(command, under=under, stdin=stdin, **more)

    def start_program(
        self,
        command,
        *,
        under=None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        **more,
    ):
        from d4py_fixed.mpi.launcher_environment import mpiexec_environment

        environment = {n: v for n, v in os.environ.items() if n not in ("PYTHONHASHSEED", "TERM")}
        environment["PYTHONPATH"] = str(HERE)
        if under is not None:
            command = [*self.mpiexec, *under, *command]
            # What those have set who work as root, or with more processes than cores.
            environment = mpiexec_environment(environment, os.geteuid())
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=self.folder,
            env={**environment, **more},
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def end(self, process, timeout=LIMIT):
        """A command's status, output and error output, when it has ended."""
        out, err = process.communicate(timeout=timeout)
        return process.returncode, out, err

    def alive(self):
        """Number, environment and command of the processes that live."""
        mark = f"{self.MARK}={self.mark}".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes().split(b"\0")
                command = (folder / "cmdline").read_bytes()
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if mark in environment and state != "Z" and int(folder.name) != os.getpid():
                found[int(folder.name)] = dict(e.split(b"=", 1) for e in environment if b"=" in e)
                found[int(folder.name)][b"command"] = command
        return found

    def ranks(self):
        """Rank → process number."""
        found = {}
        for pid, environment in self.alive().items():
            rank = next((int(environment[n]) for n in self.RANK if n in environment), None)
            if rank is not None and (rank or self.PROGRAM in environment[b"command"]):
                found[rank] = pid
        return found

    def assert_nothing_is_left(self):
        wait_until_none(self.alive, "the end of all processes")
        assert os.listdir(self.temporary) == []

    def clean_up(self):
        for pid in self.alive():
            os.kill(pid, signal.SIGKILL)
        for process in self.started:
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


def shared_memory():
    """Files by which MPI processes share memory."""
    names = os.listdir("/dev/shm") if os.path.isdir("/dev/shm") else []
    return {name for name in names if name.startswith(("sm_segment", "mpich_shm", "vader"))}


@pytest.fixture
def mpi(monkeypatch, tmp_path):
    """Starts MPI processes; none may be left, nor a file of theirs."""
    try:
        import mpi4py  # noqa: F401

        from d4py_fixed.mpi.launching.mpiexec import find_mpiexec

        mpiexec = find_mpiexec(None).words
    except (ImportError, UsageError) as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI has no MPI: {error}")
        pytest.skip(str(error))
    if not Path("/proc").is_dir():
        pytest.skip("looks for processes in /proc")
    before = shared_memory()
    with tempfile.TemporaryDirectory(prefix="d4py-") as temporary:  # short enough for sockets
        monkeypatch.setenv("TMPDIR", temporary)
        monkeypatch.setenv(MpiProcesses.MARK, mark := uuid.uuid4().hex)
        processes = MpiProcesses(mark, mpiexec, tmp_path, temporary)
        try:
            yield processes
            processes.assert_nothing_is_left()
        finally:
            processes.clean_up()
    # Other tests may run beside this one, but theirs lose their names as soon as ranks have begun.
    wait_until_none(lambda: shared_memory() - before, "the end of all shared memory")


@pytest.fixture
def execute_mpi(mpi):
    """Runs a graph with `mpi`."""
    return lambda graph, inputs=1, processes=None, **options: run(
        graph, "mpi", inputs, processes, **options
    )


@pytest.fixture
def installed(request):
    """Returns the name of a mapping, once what it needs is there."""

    def check(name):
        if name == "mpi":
            request.getfixturevalue("mpi")  # looks for an MPI, and for what is left of it
        if name == "zmq_multi":
            pytest.importorskip("zmq")
        return name

    return check


@pytest.fixture
def host_folder():
    """A folder for each of two hosts; the workflow is in the driver's."""
    with host_folders() as made:
        yield made


@pytest.fixture
def hosts(host_folder):
    """Two hosts for `zmq_multi`, both this one."""
    made = Hosts(host_folder)
    yield made
    made.stop()
