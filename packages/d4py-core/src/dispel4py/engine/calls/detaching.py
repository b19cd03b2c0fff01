"""Detaching of PEs from their runs: when an instance is closed, and in processes that a PE forks.

A detached PE has no writer of the run; what it writes is refused with the reason.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from dispel4py.core import GenericPE
from dispel4py.engine.calls.call_loop import CallLoop
from dispel4py.engine.calls.forked_children import leave_loops
from dispel4py.engine.calls.group_loop import GroupLoop
from dispel4py.engine.planning.plan import PlannedPE
from dispel4py.errors import RunError
from dispel4py.object_types import is_of_type


class RunsPE(Protocol):
    """A runner."""

    pe: GenericPE
    planned: PlannedPE
    is_forked: bool


#: The runners of this process, for the processes that it forks.
_runners: weakref.WeakSet[RunsPE] = weakref.WeakSet()


def detach_in_children(runner: RunsPE) -> None:
    """Have the PE of a runner detached in each process that this process forks."""
    _runners.add(runner)


def detach_closed(pe: GenericPE, pe_id: str) -> None:
    """Detach a PE whose instance is closed."""
    _detach(pe, partial(write_too_late, pe_id))


def write_too_late(pe_id: str, name: str, data: Any) -> None:
    """Refuse what a PE writes after its postprocess.

    Raises:
        RunError: always.
    """
    raise RunError(
        f"{pe_id} wrote to output {name!r} after its postprocess(), when it was complete; a thread"
        " that writes has to be joined in postprocess()"
    )


def _write_in_child(pe_id: str, name: str, data: Any) -> None:
    raise RunError(
        f"{pe_id} wrote to output {name!r} in a process that it has started itself; let that"
        " process return its data, and write it in the PE's own"
    )


def _detach(pe: GenericPE, write: Callable[[str, Any], None]) -> None:
    """Detach a PE, and a PE that it wraps; `write` refuses what they write."""
    for part in [pe, *(value for value in [*vars(pe).values()] if is_of_type(value, GenericPE))]:
        part._run_writer = write  # in one step, as a thread of the PE may be about to write
        vars(part).pop("_run_log", None)


def _detach_all() -> None:
    """Detach all PEs in a forked process: it would send its parent's output a second time."""
    leave_loops([*CallLoop.code_objects(), *GroupLoop.code_objects()])
    for runner in [*_runners]:
        runner.is_forked = True
        pe = vars(runner).get("pe")
        if pe is not None:
            _detach(pe, partial(_write_in_child, runner.planned.id))


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_detach_all)
