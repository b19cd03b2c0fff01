"""How many workers should be active: a policy gets observations of a run and answers a number.

A worker that is not needed is parked: its process stays and waits for a message, so waking it
takes about a millisecond.  A policy has no clock and does nothing itself, so that the same
observations always give the same answers.
"""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from dispel4py.errors import OptionError

#: The strategy that is taken where none is named.
DEFAULT_STRATEGY = "demand"

#: Milliseconds for which `DemandPolicy` keeps a worker that is not needed, at first.
_KEEP_MILLISECONDS = 20
#: The most that repeated mistakes can make of that, as a factor.
_LONGEST_KEEP = 32
#: A release was a mistake if workers are wanted back sooner than that many times as long as they
#: are kept; it held if that took longer than so many times.
_MISTAKE, _HELD = 3, 6
#: One spare worker is enough again when some were idle for that many times as long as workers
#: are kept at first: time for every busy worker to see them, which it does each 20 ms.
_CALM = 2


class Metrics(NamedTuple):
    """One observation of a run.

    Attributes:
        at: when, in seconds of any clock that never goes back.
        backlog: shared tasks that wait; those under a lease are not counted.
        active: workers that are not parked.
        idle: active workers that wait for work; one that was woken a moment ago is idle until
            it has taken something.
        idle_seconds: how long the longest idle active worker has waited.
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
        """The number of workers that should be active from now on, 1 at least."""


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
    """Has as many workers as there was work for at some moment just past.

    It grows to the number that the work calls for in one step, since a task that waits costs run
    time.  It shrinks to the highest number called for within the time for which it keeps workers;
    this is the stabilization window of Kubernetes' Horizontal Pod Autoscaler.  Where workers let
    go are soon wanted back, hardly anything was saved, so the time is doubled, and a steady load
    soon has a steady number; it is halved again after a release that held.

    While any worker is busy, one more is kept: a busy worker may hold a batch that the backlog
    does not show, and gives of it only when it sees that another one is idle.  Whenever none is
    left idle, the number kept so is doubled; it is one again after a while in which some stayed
    idle.

    Args:
        most: the most workers that may be active.
        threshold: milliseconds for which a worker that is not needed is kept, at first.
    """

    def __init__(self, most: int, threshold: float = _KEEP_MILLISECONDS) -> None:
        self.most = most
        self._shortest = threshold / 1000
        self._keep_seconds = self._shortest
        self._peaks: deque[tuple[float, int]] = deque()  # times rise, needs fall
        self._spares = 0
        self._taken_at = 0.0
        self._last = 1
        self._released_at: float | None = None

    def target(self, metrics: Metrics) -> int:
        now = metrics.at
        target = self._highest_need(now, _within(self._need(metrics), self.most))
        if target > self._last and self._released_at is not None:
            self._learn(now - self._released_at)
            self._released_at = None
        elif target < self._last:
            self._released_at = now
        self._last = target
        return target

    def _need(self, metrics: Metrics) -> int:
        """Workers that could be at work now."""
        busy = max(0, metrics.active - metrics.idle)
        if busy == 0:
            return metrics.backlog
        if metrics.idle == 0:
            self._spares = max(1, min(2 * self._spares, self.most))
            self._taken_at = metrics.at
        elif metrics.at - self._taken_at > _CALM * self._shortest:
            self._spares = 1
        return busy + max(metrics.backlog, self._spares)

    def _highest_need(self, now: float, need: int) -> int:
        while self._peaks and self._peaks[-1][1] <= need:
            self._peaks.pop()
        self._peaks.append((now, need))
        while now - self._peaks[0][0] > self._keep_seconds:
            self._peaks.popleft()
        return self._peaks[0][1]

    def _learn(self, held_seconds: float) -> None:
        """From a release after which workers were wanted back."""
        if held_seconds < _MISTAKE * self._keep_seconds:
            longest = _LONGEST_KEEP * self._shortest
            self._keep_seconds = min(2 * self._keep_seconds, longest)
        elif held_seconds > _HELD * self._keep_seconds:
            self._keep_seconds = max(self._keep_seconds / 2, self._shortest)


def make_policy(name: str, most: int, threshold: float | None = None) -> Policy:
    """Make a policy for one run.

    Args:
        name: ``"demand"``, ``"queue"`` or ``"idle"``.
        most: the most workers that may be active.
        threshold: tasks for ``"queue"`` (10 by default), milliseconds for ``"idle"`` (1000) and
            for ``"demand"`` (20).

    Raises:
        OptionError: there is no such strategy, or a number cannot be.
    """
    if name not in STRATEGIES:
        near = difflib.get_close_matches(name, STRATEGIES, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise OptionError(
            f"no scaling strategy is called {name!r}{hint}; there are {', '.join(STRATEGIES)}"
        )
    if most < 1:
        raise OptionError(f"{most} workers cannot be scaled; there must be at least 1")
    if threshold is not None and not 0 <= threshold < float("inf"):
        raise OptionError(f"the scaling threshold is {threshold}; it must be at least 0")
    strategy = STRATEGIES[name]
    return strategy(most) if threshold is None else strategy(most, threshold)


#: What `make_policy` can make, by name.
STRATEGIES: dict[str, Callable[..., Policy]] = {
    "demand": DemandPolicy,
    "queue": QueueLengthPolicy,
    "idle": IdleTimePolicy,
}


def _within(number: int, most: int) -> int:
    return max(1, min(number, most))
