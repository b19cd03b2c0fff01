"""Whether a process of this machine goes on, as the system sees it from outside.

A process that computes, sleeps, or waits for a disk is healthy, however long a call of it keeps
Python's lock; one that was stopped (SIGSTOP, a debugger) is not, and no thread of its own could
say so.
"""

from __future__ import annotations

import argparse
import enum
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any

from dispel4py.errors import OptionError
from dispel4py.logs import RUN_LOG

#: Seconds for which a worker is stopped until that is logged, and until it is given up.
NOTICE_SECONDS, FROZEN_SECONDS = 10.0, 300.0
#: Seconds between two looks, and what counts of a longer time between them: this process may have
#: been stopped as well, as by Ctrl-Z.
_LOOK_SECONDS, _MOST_SECONDS = 1.0, 2.0


class State(enum.Enum):
    """What a process does."""

    RUNNING = "running"
    STOPPED = "stopped"
    ENDED = "ended"
    #: There is no /proc here.
    UNKNOWN = "unknown"


def state_of(pid: int) -> State:
    """Return what a process of this machine does.

    Args:
        pid: its number; one that is still listed because nobody has waited for it has ended.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            # The name of its program stands in brackets before, and may hold any of them.
            letter = stat.read().rpartition(b") ")[2][:1]
    except (FileNotFoundError, ProcessLookupError):
        return State.ENDED if _HAS_PROC else State.UNKNOWN
    except OSError:
        return State.UNKNOWN
    if letter in b"Tt":
        return State.STOPPED
    return State.ENDED if letter in b"ZXx" else State.RUNNING


def is_running(pid: int) -> bool:
    """Return whether a process of this machine is known to live and not to be stopped."""
    return state_of(pid) is State.RUNNING


class FrozenWatch:
    """Notices worker processes of this machine that are stopped for long.

    Args:
        limit: seconds after which one is given up; 0 is never.
        name: what to call a worker in a message, by its number.
    """

    def __init__(
        self,
        limit: float = FROZEN_SECONDS,
        name: Callable[[int], str] = "worker {}".format,
    ) -> None:
        self._limit = limit
        self._name = name
        self._looked_at = monotonic()
        self._stopped: dict[int, float] = {}

    @classmethod
    def of(
        cls, extra: Mapping[str, Any], name: Callable[[int], str] = "worker {}".format
    ) -> FrozenWatch:
        """Make one with the limit that the options of a run ask for.

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
        return cls(FROZEN_SECONDS if limit is None else float(limit), name)

    def look(self, workers: Iterable[tuple[int, int]]) -> list[tuple[int, int, str]]:
        """Return those to give up, with number, process and cause; log those stopped for a while.

        Args:
            workers: number and process of each that should run; read only if it is time.
        """
        seconds = monotonic() - self._looked_at
        if seconds < _LOOK_SECONDS:
            return []
        self._looked_at += seconds
        before, self._stopped = self._stopped, {}
        frozen = []
        for number, pid in workers:
            if state_of(pid) is not State.STOPPED:
                continue
            earlier = before.get(number, 0.0)
            now = self._stopped[number] = earlier + min(seconds, _MOST_SECONDS)
            if 0 < self._limit <= now:
                cause = f"it was stopped (SIGSTOP or a debugger) for {now:.0f} s"
                frozen.append((number, pid, cause))
            elif earlier < NOTICE_SECONDS <= now:
                RUN_LOG.warning(
                    "%s: its process has been stopped (SIGSTOP or a debugger) for %.0f s; to let it"
                    " go on: kill -CONT %d",
                    *(self._name(number), now, pid),
                )
        return frozen


def add_frozen_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option of mappings that start processes on this machine."""
    parser.add_argument(
        "--frozen-timeout",
        type=float,
        metavar="SECONDS",
        help="give up a worker process that is stopped (SIGSTOP, a debugger) for so long; 0 is"
        f" never (default: {FROZEN_SECONDS:g})",
    )


def _has_proc() -> bool:
    try:
        with open("/proc/self/stat", "rb"):
            return True
    except OSError:
        return False


_HAS_PROC = _has_proc()
