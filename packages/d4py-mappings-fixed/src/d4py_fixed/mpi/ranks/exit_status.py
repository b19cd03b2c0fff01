"""Keeps MPICH from taking a PE that calls ``os._exit(0)`` for a success of the whole job.

Needed under an mpiexec of the user alone; measured in docs/decisions/030.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def exit_fails() -> Iterator[None]:
    """Make ``os._exit(0)`` end this process with status 1, but not its forked children."""
    original, pid = os._exit, os.getpid()

    def exit_with_failure(status: int) -> NoReturn:
        original(status or int(os.getpid() == pid))

    setattr(os, "_exit", exit_with_failure)  # noqa: B010 - mypy refuses the assignment
    try:
        yield
    finally:
        setattr(os, "_exit", original)  # noqa: B010
