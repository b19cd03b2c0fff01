"""What a worker is started with, the same for all workers of a run.

The driver makes one `WorkerSpec`, and every worker process, wherever it runs, calls its `serve`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from d4py_dynamic.store.protocols import TaskStore
from d4py_dynamic.store.serialization import CODEC
from d4py_dynamic.store.tasks import REDELIVERIES
from d4py_dynamic.worker.limits import WorkerLimits
from d4py_dynamic.worker.loop import Worker
from d4py_dynamic.worker.pinned_instance import COMMIT_INTERVAL
from dispel4py.engine.planning.plan import Plan
from dispel4py.engine.planning.plan_bundle import PlanBundle
from dispel4py.processes.garbage import imported_exempt
from dispel4py.shared_memory.malloc import keep_freed_memory

if TYPE_CHECKING:
    from dispel4py.engine.execution.metering import Meter


class WorkerSpec(NamedTuple):
    """What every worker of a run is started with; picklable in any start method.

    Attributes:
        bundle: the plan.
        on_error: ``"stop"`` or ``"skip"``.
        share_items: see `dispel4py.RunOptions`.
        interval: see `d4py_dynamic.worker.pinned_instance.PinnedInstance`.
        redeliveries: see `d4py_dynamic.store.tasks.REDELIVERIES`.
        limits: intervals and limits of the workers.
        observed: workers report what their instances do.
    """

    bundle: PlanBundle
    on_error: str = "stop"
    share_items: bool = False
    interval: float | None = COMMIT_INTERVAL
    redeliveries: int = REDELIVERIES
    limits: WorkerLimits = WorkerLimits()
    observed: bool = False

    def serve(self, store: TaskStore, rank: int) -> None:
        """Be a worker, to the end of the run.

        Raises:
            ProcessingError: a PE raised, and the run stops at errors.
            ServiceError: the store failed.
        """
        keep_freed_memory()
        plan = self.bundle.load(CODEC, last=True)
        worker = Worker(
            plan,
            store,
            rank,
            self.on_error,
            self.share_items,
            self.interval,
            self.redeliveries,
            self.limits,
            self._meter(plan, store, rank),
        )
        with imported_exempt():
            worker.serve()

    def _meter(self, plan: Plan, store: TaskStore, rank: int) -> Meter | None:
        if not self.observed:
            return None
        from dispel4py.engine.execution.metering import Meter

        return Meter(plan, rank, store.report_activity)
