"""Parks and wakes the workers of a run as a policy says, and keeps the trace of it."""

from __future__ import annotations

from d4py_dynamic.autoscaling.policies import Metrics, Policy
from d4py_dynamic.autoscaling.trace import ScalingTrace
from d4py_dynamic.driver.supervisor import WorkerSupervisor
from d4py_dynamic.store.protocols import RunStore
from d4py_dynamic.store.tasks import ANY, PAUSE, RESUME, Task
from dispel4py.result import RunStats


class Autoscaler:
    """Sees that as many workers are active as a policy says.

    Args:
        policy: says how many.
        store: the store.
        supervisor: the workers.
        now: when the run begins, in seconds of the clock that `step` is called with.
    """

    def __init__(
        self, policy: Policy, store: RunStore, supervisor: WorkerSupervisor, now: float
    ) -> None:
        self._policy = policy
        self._store = store
        self._supervisor = supervisor
        self._began_at = self._stepped_at = now
        self._trace = ScalingTrace()
        self._trace.add(0.0, len(supervisor.ranks), 0)  # however soon the run ends
        self._paused: set[int] = set()
        self._idle_since: dict[int, float] = {}
        self._worker_seconds = 0.0

    def step(self, now: float) -> None:
        """Observe, and park or wake workers."""
        load = self._store.load()
        ranks = self._supervisor.ranks
        self._paused.intersection_update(ranks)
        self._policy.most = max(1, len(ranks))
        active = len(ranks) - len(load.paused & self._paused)
        self._worker_seconds += active * (now - self._stepped_at)
        self._stepped_at = now
        self._trace.add(now - self._began_at, active, load.backlog)
        # Who was woken and has not noticed yet is about to be idle.
        idle = (load.idle | load.paused).intersection(ranks) - self._paused
        self._idle_since = {rank: self._idle_since.get(rank, now) for rank in idle}
        longest = now - min(self._idle_since.values(), default=now)
        active = len(ranks) - len(self._paused)
        target = self._policy.target(Metrics(now, load.backlog, active, len(idle), longest))
        if target > active:
            self._tell(sorted(self._paused)[: target - active], RESUME)
        elif target < active:
            self._tell(self._dispensable()[: active - target], PAUSE)

    def report(self, stats: RunStats) -> None:
        """Put the trace so far into the run's statistics."""
        stats.scaling = self._trace.points
        stats.worker_seconds = self._worker_seconds

    def _dispensable(self) -> list[int]:
        """Workers that wait for work, first those that could do least and have waited longest."""
        since = self._idle_since
        return sorted(since, key=lambda rank: (self._supervisor.owns(rank), since[rank], -rank))

    def _tell(self, ranks: list[int], kind: str) -> None:
        for rank in ranks:
            self._store.put([Task(kind, ANY)], rank)
        if kind == PAUSE:
            self._paused.update(ranks)
        else:
            self._paused.difference_update(ranks)
