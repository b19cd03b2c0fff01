"""The intervals and time limits by which worker processes are started, watched and ended."""

from __future__ import annotations

from typing import NamedTuple


class ProcessLimits(NamedTuple):
    """Time limits of worker processes and of what their PEs have started, all in seconds.

    Attributes:
        start_seconds: time that a worker has to begin, unless ``--start-timeout`` is given.
        slow_start_seconds: time after which a worker that has not begun is logged.
        frozen_seconds: time for which a worker may be stopped (SIGSTOP) before it is killed,
            unless ``--frozen-timeout`` is given.
        frozen_notice_seconds: time for which a worker is stopped before that is logged.
        frozen_poll_seconds: interval at which the states of worker processes are read.
        frozen_most_seconds: most that counts of a longer interval: the reading process may have
            been stopped as well, as by Ctrl-Z.
        exit_poll_seconds: interval of checks while workers are expected to exit.
        slow_exit_seconds: time after which workers that have not exited are logged.
        grace_seconds: time between SIGTERM and SIGKILL, for workers and for their descendants.
        descendant_seconds: time that descendants may go on after a run that ended well.
        descendant_poll_seconds: interval of checks whether descendants have exited.
        orphan_poll_seconds: interval at which a worker checks that its parent is still there.
        parent_end_seconds: time that a parent whose connection is closed has to end; one that has
            not goes on without this worker.
        orphan_seconds: time that workers whose parent was killed have to end by themselves.
    """

    start_seconds: float = 120.0
    slow_start_seconds: float = 10.0
    frozen_seconds: float = 300.0
    frozen_notice_seconds: float = 10.0
    frozen_poll_seconds: float = 1.0
    frozen_most_seconds: float = 2.0
    exit_poll_seconds: float = 0.05
    slow_exit_seconds: float = 5.0
    grace_seconds: float = 1.0
    descendant_seconds: float = 5.0
    descendant_poll_seconds: float = 0.01
    orphan_poll_seconds: float = 0.5
    parent_end_seconds: float = 2.0
    orphan_seconds: float = 10.0
