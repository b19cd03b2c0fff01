"""`RunnerOptions`: what all runners of a process have in common."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from dispel4py.engine.calls.log_lines import LogLines
from dispel4py.engine.items.copying import Copier, copy_item
from dispel4py.engine.limits import EngineLimits
from dispel4py.errors import ProcessingError

if TYPE_CHECKING:
    from dispel4py.engine.calls.runner import Runner

#: Called with an error and the item of the call; raises the error, or returns to skip the item.
OnError = Callable[[ProcessingError, Any], None]
#: Called in the middle of a call to send what the PE has written.
OnWritten = Callable[["Runner"], None]
#: Called by the flush thread in the middle of a call to send what threads of the PE have written;
#: returns whether output still waits to leave the process.
OnThreadWritten = Callable[["Runner"], bool]


def raise_error(error: ProcessingError, item: Any) -> None:
    """Raise the error: the `OnError` of ``on_error="stop"``."""
    raise error


def _do_nothing(caller: int) -> None:
    """Leave a stuck thread alone."""


class RunnerOptions(NamedTuple):
    """Options of the runners of a process.

    Attributes:
        rank: number of the process.
        copier: copies a written item.
        on_error: called with an exception of a PE.
        on_thread_written: see `OnThreadWritten`; None if only the calling thread may send, so that
            output of threads is queued without a limit until then.
        on_stuck: see `CallMonitor`.
        leased: calls are committed as soon as they end, so nothing can be written between calls.
        lines: gets what PEs log; None if they log as outside a run.
        limits: limits of the engine.
        seed: see `dispel4py.engine.planning.plan.Plan`.
        strict: raise at undeclared state, instead of reporting it in the statistics.
        context: what was set where the run was started; each instance has a copy.
        clock: returns the time in seconds.
    """

    rank: int = 0
    copier: Copier = copy_item
    on_error: OnError = raise_error
    on_thread_written: OnThreadWritten | None = None
    on_stuck: Callable[[int], None] = _do_nothing
    leased: bool = False
    lines: LogLines | None = None
    limits: EngineLimits = EngineLimits()
    seed: int = 0
    strict: bool = False
    context: Context = Context()
    clock: Callable[[], float] = perf_counter
