"""What a run loses with a worker, and whether the run can go on without it."""

from __future__ import annotations

from time import monotonic
from typing import NamedTuple

from d4py_dynamic.driver.limits import DriverLimits
from d4py_dynamic.store.tasks import ANY, Eviction
from dispel4py.engine.planning.plan import Plan
from dispel4py.errors import WorkerLostError, WorkerStartError

#: Causes of a loss that come from outside the worker.
_EXTERNAL_CAUSES = ("killed by SIGKILL", "killed by SIGTERM")


class Loss(NamedTuple):
    """What a worker held when it was evicted from a run.

    Attributes:
        error: which worker, and why it ended.
        eviction: what the worker held.
    """

    error: WorkerLostError
    eviction: Eviction

    @property
    def had_work(self) -> bool:
        """Whether the worker held anything."""
        return bool(self.eviction.leases or self.eviction.pins or self.eviction.replicas)

    def fatal_error(self, plan: Plan, redeliveries: int, *, skips: bool) -> WorkerLostError | None:
        """Return the error that ends the run, or None if other workers can continue the work.

        Args:
            plan: the run's plan.
            redeliveries: how often a task may be delivered again after the loss of its worker.
            skips: an item that is delivered too often is skipped, so that it does not end the run.
        """
        return self._irreplaceable(plan) or self._poisoned(plan, redeliveries, skips)

    def _irreplaceable(self, plan: Plan) -> WorkerLostError | None:
        """Return the error if only the worker had some of what it held."""
        for pe in self.eviction.replicas:
            if plan.pes[pe].has_postprocess:
                what = f"{plan.pes[pe].id}, with what its postprocess would have written"
                return self._error(f"{what}; this cannot be repeated")
        for lease in self.eviction.leases:
            if lease.position.sent is None:
                what = f"{plan.pes[lease.task.pe].id}, in a call that had sent too much already"
                return self._error(f"{what}; this cannot be repeated")
        return None

    def _poisoned(self, plan: Plan, redeliveries: int, skips: bool) -> WorkerLostError | None:
        """Return the error if a task was delivered too often to workers that were lost."""
        if skips and not self.eviction.starting:
            return None
        deliveries = [(lease.task.pe, ANY, lease.delivery_count) for lease in self.eviction.leases]
        deliveries += [(*pin, count) for pin, count in self.eviction.pins]
        for pe, instance, count in deliveries:
            if count > redeliveries:
                of_instance = f" (instance {instance})" if instance != ANY else ""
                before = f"as {count - 1} workers before it that died"
                return self._error(f"{plan.pes[pe].id}{of_instance}, {before}")
        return None

    def _error(self, ran: str) -> WorkerLostError:
        return type(self.error)(self.error.rank, self.error.pid, self.error.cause, ran)


class StartFailures:
    """Counts worker processes in a row that failed to start, or ended before they had any work.

    Args:
        limits: how many may fail, and how long after its start a worker counts as just started.
    """

    def __init__(self, limits: DriverLimits) -> None:
        self._limits = limits
        self._started_at: list[float] = []
        self._failures = 0

    def started(self, count: int = 1) -> None:
        """Take note that processes were started; they are numbered in this order."""
        self._started_at += [monotonic()] * count

    def add_loss(self, number: int, loss: Loss) -> None:
        """Count the loss of a process if it failed to start; otherwise begin to count anew.

        Raises:
            WorkerLostError: too many have failed in a row.
        """
        just_started = monotonic() - self._started_at[number] < self._limits.start_seconds
        by_itself = loss.error.cause not in _EXTERNAL_CAUSES
        ended_early = just_started and by_itself and not loss.had_work
        failed = ended_early or isinstance(loss.error, WorkerStartError)
        self._failures = self._failures + 1 if failed else 0
        if self._failures >= self._limits.failed_starts:
            raise loss.error
