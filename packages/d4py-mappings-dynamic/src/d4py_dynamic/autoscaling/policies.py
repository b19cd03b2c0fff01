"""Policies of autoscaling: how many workers should be active, given observations of a run.

A worker that is not needed is paused: its process stays and waits for a message, so resuming it
takes about a millisecond.  A policy reads no clock and has no side effects, so that the same
observations always give the same targets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from dispel4py.errors import OptionError

#: The strategy that is used where none is named.
DEFAULT_STRATEGY = "demand"


class Metrics(NamedTuple):
    """One observation of a run.

    Attributes:
        at: time of the observation, in seconds of any monotonic clock.
        backlog: shared tasks that are queued; those under a lease are not counted.
        active: workers that are not paused.
        idle: active workers without a task; one that is being resumed is idle until it has taken
            a task.
        idle_seconds: how long the longest idle worker has been idle.
        busy_seconds: total time that all workers have spent inside PEs; it never falls.
    """

    at: float
    backlog: int
    active: int
    idle: int
    idle_seconds: float = 0.0
    busy_seconds: float = 0.0


class Policy(Protocol):
    """Decides how many workers should be active.  One object serves one run.

    Attributes:
        most: the most workers that may be active; it changes while workers come and go.
    """

    most: int

    def target(self, metrics: Metrics) -> int:
        """Return the number of workers that should be active from now on, at least 1."""


class QueueLengthPolicy:
    """Grows by one while the queue is long and gets no shorter; else shrinks by one.

    The rule by which `dyn_auto_multi` scaled before d4py.

    Args:
        most: the most workers that may be active.
        threshold: tasks; a queue that is not longer is short.
    """

    def __init__(self, most: int, threshold: float = 10) -> None:
        self.most = most
        self._threshold = threshold
        self._backlog_before = threshold

    def target(self, metrics: Metrics) -> int:
        backlog = metrics.backlog
        grow = backlog > self._threshold and backlog >= self._backlog_before
        self._backlog_before = backlog
        return _within(metrics.active + (1 if grow else -1), self.most)


class IdleTimePolicy:
    """Shrinks by one while a worker has been idle for too long; else grows by one.

    The rule by which `dyn_auto_redis` scaled before d4py.

    Args:
        most: the most workers that may be active.
        threshold: milliseconds.
    """

    def __init__(self, most: int, threshold: float = 1000) -> None:
        self.most = most
        self._threshold_seconds = threshold / 1000

    def target(self, metrics: Metrics) -> int:
        grow = metrics.idle_seconds <= self._threshold_seconds
        return _within(metrics.active + (1 if grow else -1), self.most)


class DemandPolicy:
    """Keeps as many workers as could work at some moment of a time window that has just passed.

    It grows to the number that the work demands in one step, since a queued task costs run time.
    It shrinks to the highest demand within the window; this is the stabilization window of
    Kubernetes' Horizontal Pod Autoscaler.  Where released workers are soon demanded again, hardly
    anything was saved, so the window is doubled, and a steady load soon has a steady number of
    workers; the window is halved again after a release that held.

    While any worker is busy, one spare worker is kept: a busy worker may hold a batch that the
    backlog does not show, and shares it only when it sees an idle worker.  Whenever no worker is
    idle, the number of spare workers is doubled; it is one again after a time in which some stayed
    idle.

    Args:
        most: the most workers that may be active.
        threshold: milliseconds of the window at first.
        longest: the window is never longer than this many times its length at first.
        mistake: a release was a mistake if workers are demanded again within this many windows.
        held: a release held if they are demanded again only after this many windows.
        calm: one spare worker is enough again when some were idle for this many first windows,
            which gives every busy worker time to see them: a busy worker checks every 20 ms.
    """

    def __init__(
        self,
        most: int,
        threshold: float = 20,
        *,
        longest: float = 32,
        mistake: float = 3,
        held: float = 6,
        calm: float = 2,
    ) -> None:
        self.most = most
        self._first_window = threshold / 1000
        self._longest_window = longest * self._first_window
        self._calm_seconds = calm * self._first_window
        self._mistake, self._held = mistake, held
        self._window = self._first_window
        self._peaks: deque[tuple[float, int]] = deque()  # times rise, demands fall
        self._spares = 0
        self._all_busy_at = 0.0
        self._last_target = 1
        self._released_at: float | None = None

    def target(self, metrics: Metrics) -> int:
        now = metrics.at
        target = self._highest_demand(now, _within(self._demand(metrics), self.most))
        if target > self._last_target and self._released_at is not None:
            self._adapt_window(now - self._released_at)
            self._released_at = None
        elif target < self._last_target:
            self._released_at = now
        self._last_target = target
        return target

    def _demand(self, metrics: Metrics) -> int:
        """Return how many workers could work now."""
        busy = max(0, metrics.active - metrics.idle)
        if busy == 0:
            return metrics.backlog
        if metrics.idle == 0:
            self._spares = max(1, min(2 * self._spares, self.most))
            self._all_busy_at = metrics.at
        elif metrics.at - self._all_busy_at > self._calm_seconds:
            self._spares = 1
        return busy + max(metrics.backlog, self._spares)

    def _highest_demand(self, now: float, demand: int) -> int:
        """Return the highest demand within the window, with that of now."""
        while self._peaks and self._peaks[-1][1] <= demand:
            self._peaks.pop()
        self._peaks.append((now, demand))
        while now - self._peaks[0][0] > self._window:
            self._peaks.popleft()
        return self._peaks[0][1]

    def _adapt_window(self, seconds: float) -> None:
        """Adapt the window to the time after which released workers were demanded again."""
        if seconds < self._mistake * self._window:
            self._window = min(2 * self._window, self._longest_window)
        elif seconds > self._held * self._window:
            self._window = max(self._window / 2, self._first_window)


def make_policy(name: str, most: int, threshold: float | None = None) -> Policy:
    """Return a policy for one run.

    Args:
        name: ``"demand"``, ``"queue"`` or ``"idle"``.
        most: the most workers that may be active.
        threshold: tasks for ``"queue"`` (10 by default), milliseconds for ``"idle"`` (1000) and
            for ``"demand"`` (20).

    Raises:
        OptionError: there is no such strategy, or a number is out of range.
    """
    if name not in STRATEGIES:
        from difflib import get_close_matches  # slow to import, and only errors need it

        near = get_close_matches(name, STRATEGIES, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise OptionError(
            f"no scaling strategy is called {name!r}{hint}; there are {', '.join(STRATEGIES)}"
        )
    if most < 1:
        raise OptionError(f"the number of workers is {most}; it must be at least 1")
    if threshold is not None and not 0 <= threshold < float("inf"):
        raise OptionError(f"the scaling threshold is {threshold}; it must be at least 0")
    strategy = STRATEGIES[name]
    return strategy(most) if threshold is None else strategy(most, threshold)


#: The policies of `make_policy` by name.
STRATEGIES: dict[str, Callable[..., Policy]] = {
    "demand": DemandPolicy,
    "queue": QueueLengthPolicy,
    "idle": IdleTimePolicy,
}


def _within(number: int, most: int) -> int:
    return max(1, min(number, most))
