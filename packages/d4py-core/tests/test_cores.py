"""How many cores ``auto`` takes: no more than a container or a batch system gives."""

import pytest

from dispel4py.processes import cores


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine of 64 cores without control groups or a batch system."""
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: range(64), raising=False)
    monkeypatch.setattr(cores, "_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cores, "_FOLDER", tmp_path)
    for name in [name for name in cores.os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    return tmp_path


def put(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


class TestControlGroups:
    def test_without_a_quota_all_cores_are_usable(self, machine):
        put(machine, cgroup="0::/user\n", cpu__max="max 100000\n")
        assert cores.usable_cores() == 64

    def test_a_quota_of_part_of_a_core_counts_as_one_more(self, machine):
        put(machine, cgroup="0::/job\n")
        put(machine / "job", cpu__max="250000 100000\n")
        assert cores.usable_cores() == 3

    def test_the_quota_of_a_containing_group_counts_too(self, machine):
        put(machine, cgroup="0::/job/step\n")
        put(machine / "job", cpu__max="200000 100000\n")
        put(machine / "job" / "step", cpu__max="400000 100000\n")
        assert cores.usable_cores() == 2

    def test_a_container_that_does_not_see_its_path_has_the_quota_of_its_root(self, machine):
        put(machine, cgroup="0::/docker/4f2c\n", cpu__max="500000 100000\n")
        assert cores.usable_cores() == 5

    def test_version_1(self, machine):
        put(machine, cgroup="3:cpuset:/\n4:cpu,cpuacct:/job\n1:name=systemd:/\n")
        put(machine / "cpu" / "job", cpu__cfs_quota_us="600000\n", cpu__cfs_period_us="100000\n")
        assert cores.usable_cores() == 6
        put(machine / "cpu" / "job", cpu__cfs_quota_us="-1\n")
        assert cores.usable_cores() == 64


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ON_NODE": "8"}, 8),  # in a batch script
        ({"ON_NODE": "8", "PER_TASK": "2"}, 8),
        ({"ON_NODE": "8", "PER_TASK": "2", "SLURM_STEP_ID": "0"}, 2),
        ({"ON_NODE": "8", "SLURM_STEP_ID": "0", "SLURM_STEP_TASKS_PER_NODE": "4(x2)"}, 2),
        ({"ON_NODE": "8", "SLURM_STEP_ID": "0", "SLURM_STEP_TASKS_PER_NODE": "16"}, 1),
        ({"SLURM_STEP_ID": "0"}, 64),
        ({"ON_NODE": "128"}, 64),
    ],
)
def test_an_allocation_of_slurm_is_followed(monkeypatch, variables, expected):
    for name, value in variables.items():
        monkeypatch.setenv(name if "SLURM" in name else f"SLURM_CPUS_{name}", value)
    assert cores.usable_cores() == expected
