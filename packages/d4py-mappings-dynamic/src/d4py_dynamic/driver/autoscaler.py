"""Pauses and resumes the workers of a run as a policy decides, and records a trace of it."""

from __future__ import annotations

from collections.abc import Iterable

from d4py_dynamic.autoscaling.policies import Metrics, Policy
from d4py_dynamic.autoscaling.trace import ScalingTrace
from d4py_dynamic.driver.supervisor import WorkerSupervisor
from d4py_dynamic.store.protocols import RunStore
from d4py_dynamic.store.tasks import ANY, PAUSE, RESUME, Task
from dispel4py.engine.run_events import RunEvents
from dispel4py.result import RunStats


class Autoscaler:
    """Keeps as many workers active as a policy decides.

    Args:
        policy: decides how many.
        store: the store.
        supervisor: the workers.
        now: when the run begins, in seconds of the clock that `step` is called with.
        events: gets the decisions.
    """

    def __init__(
        self,
        policy: Policy,
        store: RunStore,
        supervisor: WorkerSupervisor,
        now: float,
        events: RunEvents,
    ) -> None:
        self._policy = policy
        self._store = store
        self._supervisor = supervisor
        self._events = events
        self._began_at = self._stepped_at = now
        self._next_step = 0.0
        self._trace = ScalingTrace()
        self._trace.add(0.0, len(supervisor.ranks), 0)  # the trace of a very short run has a point
        self._paused: set[int] = set()
        self._idle_since: dict[int, float] = {}
        self._worker_seconds = 0.0

    def step_if_due(self, now: float, interval: float) -> None:
        """Observe the run and scale, unless the last time was less than `interval` seconds ago."""
        if now >= self._next_step:
            self._next_step = now + interval
            self.step(now)

    def step(self, now: float) -> None:
        """Observe the run, and pause or resume workers."""
        load = self._store.load()
        ranks = self._supervisor.ranks
        self._paused.intersection_update(ranks)
        self._policy.most = max(1, len(ranks))
        active = len(ranks) - len(load.paused & self._paused)
        self._worker_seconds += active * (now - self._stepped_at)
        self._stepped_at = now
        self._trace.add(now - self._began_at, active, load.backlog)
        # A worker that has been sent its resumption and has not yet resumed is about to be idle.
        idle = (load.idle | load.paused).intersection(ranks) - self._paused
        self._idle_since = {rank: self._idle_since.get(rank, now) for rank in idle}
        longest = now - min(self._idle_since.values(), default=now)
        active = len(ranks) - len(self._paused)
        target = self._policy.target(Metrics(now, load.backlog, active, len(idle), longest))
        if target != active:
            self._events.scaled(target, load.backlog, f"{len(idle)} of {active} workers are idle")
        if target > active:
            self._resume(sorted(self._paused)[: target - active])
        elif target < active:
            self._pause(self._by_expendability()[: active - target])

    def report(self, stats: RunStats) -> None:
        """Put the trace so far into the run's statistics."""
        stats.scaling = self._trace.points
        stats.worker_seconds = self._worker_seconds

    def _by_expendability(self) -> list[int]:
        """Return idle workers: those without instances first, then those idle for longest."""
        since = self._idle_since
        return sorted(since, key=lambda rank: (self._supervisor.owns(rank), since[rank], -rank))

    def _pause(self, ranks: Iterable[int]) -> None:
        for rank in ranks:
            self._store.put([Task(PAUSE, ANY)], rank)
            self._paused.add(rank)

    def _resume(self, ranks: Iterable[int]) -> None:
        for rank in ranks:
            self._store.put([Task(RESUME, ANY)], rank)
            self._paused.discard(rank)
