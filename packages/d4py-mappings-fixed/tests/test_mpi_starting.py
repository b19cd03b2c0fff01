"""Starting the ranks of an `mpi` run in other ways than the plain one, and failing to."""

import os
import shutil
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("mpi4py")

from d4py_fixed.mpi.limits import MpiLimits
from d4py_fixed.mpi.listener import Hello, connect
from d4py_fixed.mpi.rank_supervisor import RankSupervisor
from dispel4py.errors import ServiceError

SEGMENTS = """
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
import mpi4py
mpi4py.rc.initialize = False
from mpi4py import MPI
from d4py_fixed.mpi.mpi_start import start_mpi

init, own = MPI.Init_thread, []

def init_while_another_thread_works(*arguments):
    own.append(SharedMemory(create=True, size=1000))
    init(*arguments)

MPI.Init_thread = init_while_another_thread_works
start_mpi()
(segment,) = own
SharedMemory(name=segment.name).close()
segment.close()
segment.unlink()
print("found", flush=True)
MPI.Finalize()
"""


class TestAShellOfALauncher:
    """A launcher has started a shell, and commands there are no ranks of its job."""

    @pytest.mark.parametrize(
        "opened",
        [
            {"PMI_RANK": "0", "PMI_SIZE": "1"},
            {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"},
            pytest.param({"PMI_RANK": "0"}, marks=pytest.mark.slow),
            pytest.param({"PMIX_RANK": "0"}, marks=pytest.mark.slow),
        ],
        ids=" ".join,
    )
    def test_the_command_starts_its_own_ranks(self, mpi, opened):
        process = mpi.start("pipeline_test", "-i", 3, "-n", 3, "-q", **opened)
        status, out, err = mpi.end(process)
        assert status == 0, err
        assert out == "Outputs: {'TestOneInOneOut5': {'output': [1, 2, 3]}}\n"

    @pytest.mark.slow
    @pytest.mark.parametrize("more", [["-n", "3"], ["-s"], ["--mpiexec", "MPIEXEC"]])
    @pytest.mark.parametrize(
        "script", ['"$@" && "$@"', 'unset OMPI_COMM_WORLD_SIZE PMI_SIZE; "$@"']
    )
    def test_the_command_does_so_in_a_shell_of_mpiexec(self, mpi, more, script):
        more = [" ".join(mpi.mpiexec) if word == "MPIEXEC" else word for word in more]
        command = [sys.executable, "-m", "dispel4py", "mpi", "pipeline_test", "-i", "3", "-q"]
        process = mpi.start_program(["sh", "-c", script, "", *command, *more], under=["-n", 1])
        status, out, err = mpi.end(process)
        assert status == 0, err
        assert out.count("{'TestOneInOneOut5': {'output': [1, 2, 3]}}") == script.count("@")

    def test_one_process_is_enough_if_no_more_are_asked_for(self, mpi):
        process = mpi.start("pipeline_test", "-i", 3, "-q", under=["-n", 1])
        status, out, err = mpi.end(process)
        assert status == 0, err
        assert "[1, 2, 3]" in out


class TestProcessesThatAreNoRanks:
    """Several processes were started, and each would do the whole workflow."""

    def test_processes_that_mpi_does_not_know_are_refused(self, mpi):
        status, out, err = mpi.end(mpi.start("pipeline_test", "-q", PMI_RANK="0", PMI_SIZE="4"))
        assert (status, out) == (1, "")
        assert "as rank 0 of 4, but MPI takes it for rank 0 of 1" in err
        for left in Path(mpi.temporary).glob("ompi.*"):  # Open MPI alone in a world leaves it
            shutil.rmtree(left)


class TestRanksThatDoNotConnect:
    @pytest.fixture
    def hung(self, write):
        """An mpiexec that starts something else, and hangs."""
        path = write("hung", "#!/bin/sh\nsleep 1000 &\nsleep 1000\n")
        path.chmod(0o755)
        return path

    def test_the_wait_ends_in_time(self, mpi, hung):
        process = mpi.start("pipeline_test", "-n", 3, "--mpiexec", hung, "--wait", 0.5)
        status, out, err = mpi.end(process)
        assert (status, out) == (1, "")
        assert "0 of 3 MPI ranks have come after 0.5 s (--wait)" in err
        mpi.assert_nothing_is_left(1.0)

    def test_the_missing_ranks_are_named(self, caplog):
        message = {}
        start = lambda given: message.update(given) or HungProcesses()  # noqa: E731
        limits = MpiLimits(start_notice_seconds=0.1)
        supervisor = RankSupervisor(start, 4, limits)
        ((port, key),) = (text.split(":") for text in message.values())
        address, key = ("127.0.0.1", int(port)), bytes.fromhex(key)
        started_at = time.monotonic()
        with (
            connect(address, key, Hello(0, 4, 1, is_remote=False)),
            connect(address, key, Hello(2, 4, 1, is_remote=False)),
            pytest.raises(ServiceError, match=r"2 of 4 .* after 0.3 s .*missing: ranks 1, 3"),
        ):
            supervisor.wait_until_started(0.3)
        assert time.monotonic() - started_at >= 0.3
        assert caplog.messages == ["2 of 4 MPI ranks have come; waiting for ranks 1, 3"]
        supervisor.failed = True
        supervisor.close()


class HungProcesses:
    """`RankProcesses` that do nothing until they are stopped."""

    stopped = False

    def has_ended(self):
        return self.stopped

    def stop(self, number):
        self.stopped = True

    def kill_descendants(self):
        pass

    def may_kill(self, rank):
        return False

    def finish_output(self):
        pass


def test_shared_memory_of_the_program_keeps_its_name(mpi, write):
    if not os.path.isdir("/dev/shm"):
        pytest.skip("shared memory has no names in /dev/shm here")
    path = write("segments.py", SEGMENTS)
    status, out, err = mpi.end(mpi.start_program([sys.executable, path], under=["-n", 2]))
    assert status == 0, err
    assert out.count("found") == 2  # MPICH may join the lines of several ranks
