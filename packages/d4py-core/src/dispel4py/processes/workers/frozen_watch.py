"""Finds worker processes of this machine that are stopped, by their state as the system sees it.

A process that computes, sleeps, or waits for a disk runs, however long a call of a PE keeps
Python's lock.  A process that was stopped (SIGSTOP, a debugger) does not, and none of its threads
could report that.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any, NamedTuple

from dispel4py.errors import OptionError
from dispel4py.logs import RUN_LOG
from dispel4py.processes.limits import ProcessLimits
from dispel4py.processes.process_table import State, state_of


class FrozenWorker(NamedTuple):
    """A worker that was stopped for longer than the limit.

    Attributes:
        number: number of the worker.
        pid: pid of its process.
        cause: for a `WorkerLostError`.
    """

    number: int
    pid: int
    cause: str


class FrozenWatch:
    """Finds worker processes of this machine that are stopped for long.

    Args:
        limit: seconds after which a stopped worker is lost, 0 for never; None takes that of
            `limits`.
        name: returns what to call a worker in a message, by its number.
        limits: intervals, and when to log a worker.
    """

    def __init__(
        self,
        limit: float | None = None,
        name: Callable[[int], str] = "worker {}".format,
        limits: ProcessLimits = ProcessLimits(),
    ) -> None:
        self._limit = limits.frozen_seconds if limit is None else limit
        self._name = name
        self._limits = limits
        self._checked_at = monotonic()
        self._stopped: dict[int, float] = {}

    @classmethod
    def of(
        cls, extra: Mapping[str, Any], name: Callable[[int], str] = "worker {}".format
    ) -> FrozenWatch:
        """Return a watch with the limit that the options of a run ask for.

        Args:
            extra: options of the mapping, see `add_frozen_argument`.
            name: see `FrozenWatch`.

        Raises:
            OptionError: the limit is negative.
        """
        limit = extra.get("frozen_timeout")
        if limit is not None and not limit >= 0:
            raise OptionError(
                f"--frozen-timeout is {limit!r}; it must be at least 0 seconds (0: never)"
            )
        return cls(None if limit is None else float(limit), name)

    def check(self, workers: Iterable[tuple[int, int]]) -> list[FrozenWorker]:
        """Return the workers that are stopped for too long; log those stopped for a while.

        Args:
            workers: number and pid of each worker that should run; read only if a check is due.
        """
        seconds = monotonic() - self._checked_at
        limits = self._limits
        if seconds < limits.frozen_poll_seconds:
            return []
        self._checked_at += seconds
        before, self._stopped = self._stopped, {}
        frozen = []
        for number, pid in workers:
            if state_of(pid) is not State.STOPPED:
                continue
            earlier = before.get(number, 0.0)
            now = self._stopped[number] = earlier + min(seconds, limits.frozen_most_seconds)
            if 0 < self._limit <= now:
                cause = f"it was stopped (SIGSTOP or a debugger) for {now:.0f} s"
                frozen.append(FrozenWorker(number, pid, cause))
            elif earlier < limits.frozen_notice_seconds <= now:
                RUN_LOG.warning(
                    "%s: its process has been stopped (SIGSTOP or a debugger) for %.0f s; to let it"
                    " go on: kill -CONT %d",
                    *(self._name(number), now, pid),
                )
        return frozen


def add_frozen_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--frozen-timeout`` of mappings that start processes on this machine."""
    parser.add_argument(
        "--frozen-timeout",
        type=float,
        metavar="SECONDS",
        help="kill a worker process that is stopped (SIGSTOP, a debugger) for so long; 0 is"
        f" never (default: {ProcessLimits().frozen_seconds:g})",
    )
