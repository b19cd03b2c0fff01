"""What Slurm says in variables about the job that this process is in."""

from __future__ import annotations

import os
import re


def step_tasks() -> int:
    """Return how many processes the srun has started that has started this one; 1 without srun."""
    return _number("SLURM_STEP_NUM_TASKS", 1) if is_task() else 1


def allotted_cores() -> int | None:
    """Return the cores of this host for this process; None if Slurm does not say.

    They are those of the job, or those of this task if srun has started it.
    """
    on_host = _number("SLURM_CPUS_ON_NODE")
    if not is_task():
        return on_host or None
    of_task = _number("SLURM_CPUS_PER_TASK") or on_host // _number("SLURM_STEP_TASKS_PER_NODE", 1)
    return max(1, of_task) if of_task or on_host else None


def is_task() -> bool:
    """Return whether srun has started this process; a batch script has not such a variable."""
    return "SLURM_STEP_ID" in os.environ


def _number(name: str, default: int = 0) -> int:
    """Return the number that a variable begins with, such as ``4(x2)``."""
    found = re.match(r"\d+", os.environ.get(name, ""))
    return int(found[0]) if found else default
