"""The number of cores that this process may use, which may be fewer than the machine has.

An affinity mask, the quota of a container and the allocation of a batch system each limit it.
Slurm, unless it is configured to bind processes, only says so in variables.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path

from dispel4py.processes.slurm import allotted_cores

_GROUPS = Path("/proc/self/cgroup")
_FOLDER = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Return how many cores this process may use: the ``"auto"`` of `dispel4py.run`."""
    cores = _cores_to_run_on()
    return min([cores, allotted_cores() or cores, *_quotas()])


def _cores_to_run_on() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas() -> Iterator[int]:
    """Return the quotas of the control groups that this process is in, in cores rounded up."""
    try:
        groups = _GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for group in groups:
        _, controllers, path = group.split(":", 2)
        if not controllers:
            yield from _quotas_above(_FOLDER, path, "cpu.max")
        elif "cpu" in controllers.split(","):
            yield from _quotas_above(_FOLDER / "cpu", path, "cpu.cfs_quota_us", "cpu.cfs_period_us")


def _quotas_above(root: Path, path: str, *names: str) -> Iterator[int]:
    """Return the quotas of a group and of those that contain it."""
    parts = Path(path.strip("/")).parts
    for count in range(len(parts) + 1):
        folder = root.joinpath(*parts[:count])
        try:
            quota, period, *_ = " ".join((folder / name).read_text() for name in names).split()
        except (OSError, ValueError):  # the root has none; in a container only that is visible
            continue
        if quota.isdecimal():  # not `max` or -1
            yield ceil(int(quota) / int(period))
