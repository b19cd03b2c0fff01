"""The driver of a run: feeds the roots, collects the results, and detects the end.

It runs no PE.  It learns from the store's events what workers have done, and the `WorkerSupervisor`
replaces those that are lost.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, perf_counter
from typing import TYPE_CHECKING

from d4py_dynamic.driver.frontier import Frontier
from d4py_dynamic.driver.input_feeder import InputFeeder
from d4py_dynamic.driver.limits import DriverLimits
from d4py_dynamic.driver.supervisor import WorkerSupervisor
from d4py_dynamic.store.protocols import (
    Activity,
    DriverState,
    Event,
    LogLine,
    Quiescent,
    Results,
    RunStore,
    UndeclaredState,
    WorkerExited,
    WorkerFailed,
    WorkerStopping,
)
from d4py_dynamic.store.tasks import ANY, CALLS, FINISH, Task, is_pinned
from d4py_dynamic.store.unread_items import naming_senders
from d4py_dynamic.worker.outbox import pieces
from dispel4py.checks.undeclared_state import undeclared_state_error
from dispel4py.core import show_log
from dispel4py.engine.failures import FailureCollector
from dispel4py.engine.input_reader import is_in_memory
from dispel4py.engine.inputs import CallRange, RootInput, calls
from dispel4py.engine.planning.plan import Plan, PlannedPE
from dispel4py.engine.run_events import events_of
from dispel4py.errors import RunError, ServiceError, WorkerLostError
from dispel4py.logs import RUN_LOG
from dispel4py.result import ResultCollector, RunOptions, RunResult, RunStats

if TYPE_CHECKING:
    from d4py_dynamic.autoscaling.policies import Policy
    from d4py_dynamic.driver.autoscaler import Autoscaler


class Driver:
    """Drives a plan to its end over a store and some workers.

    Args:
        plan: the plan.
        given: inputs of the roots.
        store: the store.
        open_store: opens another connection to the store, for a thread.
        supervisor: the workers.
        options: the run's options.
        stats: filled in as the run goes.
        policy: decides how many workers are active; None leaves all of them active.
        on_started: called when all inputs are queued that are given at once, with the roots that
            are still to be fed.
        previous: state of the driver that this one takes over from; None for a new run.
        limits: intervals and limits.
    """

    def __init__(
        self,
        plan: Plan,
        given: dict[int, RootInput],
        store: RunStore,
        open_store: Callable[[], RunStore],
        supervisor: WorkerSupervisor,
        options: RunOptions,
        stats: RunStats,
        policy: Policy | None = None,
        on_started: Callable[[list[int]], None] = lambda roots: None,
        previous: DriverState | None = None,
        limits: DriverLimits = DriverLimits(),
    ) -> None:
        self._plan = plan
        self._store = store
        self._supervisor = supervisor
        self._options = options
        self._stats = stats
        self._on_started = on_started
        self._limits = limits
        self._results = ResultCollector(options.on_result)
        self._events = events_of(options)
        self._failures = FailureCollector(options.on_failure, plan.limits, self._events.failure)
        self._given = given
        self._changed: dict[str, tuple[str, ...]] = {}
        self._files: dict[tuple[str, int], tuple[tuple[str, str], ...]] = {}
        self._started_at = perf_counter()
        self._first_tasks: list[Task] = []
        self._feeders: list[InputFeeder] = []
        offsets = {} if previous is None else previous.offsets
        for root, value in given.items():
            if is_in_memory(value) and previous is None:
                self._first_tasks += self._tasks_of(plan.pes[root], value)
            else:
                before = offsets[root].calls if root in offsets else 0
                feeder = InputFeeder(plan.pes[root], value, open_store, before, limits)
                self._feeders.append(feeder)
        self._autoscaler: Autoscaler | None = None
        if policy is not None:
            from d4py_dynamic.driver.autoscaler import Autoscaler

            self._autoscaler = Autoscaler(policy, store, supervisor, self._started_at, self._events)
        feeding = {feeder.root for feeder in self._feeders}
        self._frontier = Frontier(plan, feeding, () if previous is None else previous.finishing)

    def run(self) -> RunResult:
        """Run to the end.

        Raises:
            RunError: a PE raised, a worker died, or the store failed.
        """
        failures = self._failures
        result = RunResult(self._results.outputs, failures.kept, self._stats)
        self._events.begin(self._plan, self._given, result)
        try:
            self._store.put(self._first_tasks)
            self._on_started([feeder.root for feeder in self._feeders])
            for feeder in self._feeders:
                feeder.start()
            with naming_senders(self._plan):
                self._loop()
                self._supervisor.shutdown(self._take_events)
                while events := self._store.events(0.0):
                    for event in events:
                        self._handle(event)
        except RunError as error:
            if not isinstance(error, ServiceError):
                with suppress(ServiceError):
                    self._update_stats()
            raise
        finally:
            for feeder in self._feeders:
                feeder.stop()
            if self._autoscaler is not None:
                self._autoscaler.report(self._stats)
            self._stats.notes += self._supervisor.notes
            result.failure_counts = failures.counts
        self._update_stats()
        return result

    def _tasks_of(self, root: PlannedPE, value: RootInput) -> list[Task]:
        """Return the tasks of a root whose inputs are given at once."""
        load = value if isinstance(value, int) else list(calls(root, value))
        if not is_pinned(root):
            shared = pieces(CallRange(0, load), len(self._store.load().idle))
            return [Task(CALLS, root.index, ANY, None, piece) for piece in shared]
        return [Task(CALLS, root.index, 0, None, load)] if load else []

    def _loop(self) -> None:
        """Process events until the run is complete and all its results are here."""
        limits = self._limits
        wait = limits.tick_seconds if self._autoscaler is None else limits.scaling_seconds
        next_progress = monotonic() + limits.progress_seconds
        next_check = monotonic()
        is_watched = self._options.on_progress is not None or self._events.is_observed
        while True:
            may_advance = self._take_events(wait)
            self._supervisor.check()
            if self._autoscaler is not None:
                self._autoscaler.step_if_due(perf_counter(), limits.scaling_seconds)
            may_advance |= self._check_feeders()
            if may_advance or monotonic() >= next_check:
                next_check = monotonic() + limits.check_seconds
                self._advance()
                if self._frontier.complete:
                    break
            if is_watched and monotonic() >= next_progress:
                next_progress = monotonic() + limits.progress_seconds
                self._report_progress()
        while self._store.missing_results() > 0:
            self._take_events(limits.tick_seconds)
            self._supervisor.check()

    def _report_progress(self) -> None:
        if self._options.on_progress is not None:
            self._update_stats()
            self._options.on_progress(self._stats)
        if self._events.is_observed:
            unfinished = self._store.unfinished(self._frontier.watched)
            self._events.queues((self._plan.pes[pe].id, count) for pe, count in unfinished.items())

    def _check_feeders(self) -> bool:
        """Return whether a feeder has come to the end of its inputs.

        Raises:
            Exception: what the iterable raised.
        """
        any_ended = False
        for feeder in self._feeders:
            if feeder.error is not None:
                raise feeder.error
            if feeder.done and feeder.root in self._frontier.feeding:
                self._frontier.feeding.discard(feeder.root)
                any_ended = True
        return any_ended

    def _advance(self) -> None:
        """Move the frontier as far as it goes now."""
        while True:
            watched = self._frontier.watched
            unfinished = self._store.unfinished(watched)
            for pe in self._frontier.finishing:
                if not unfinished[pe]:  # a worker may have left before it postprocessed its replica
                    unfinished[pe] = self._finish_orphans(pe)
            to_finish = self._frontier.advance(unfinished)
            for pe in to_finish:
                self._finish(pe)
            if self._frontier.watched == watched:
                return

    def _finish(self, pe: int) -> None:
        """Have every instance of a PE postprocessed."""
        planned = self._plan.pes[pe]
        if is_pinned(planned):
            instances = range(planned.instances)
            self._store.finish(pe, [(Task(FINISH, pe, i), None) for i in instances])
            return
        replicas = self._store.replicas(pe)
        if replicas:
            self._store.finish(pe, [(Task(FINISH, pe), rank) for rank in replicas])
        # In this order: a replica that its worker has left since has become an orphan.
        if not self._finish_orphans(pe) and not replicas:
            # There is one instance even if no item came.
            self._store.finish(pe, [(Task(FINISH, pe), None)])

    def _finish_orphans(self, pe: int) -> int:
        """Have the replicas postprocessed that their workers have left; return their number."""
        orphans = self._store.orphans(pe)
        if orphans:
            tasks = [(Task(FINISH, pe, payload=orphan.replica), None) for orphan in orphans]
            self._store.finish(pe, tasks, orphans)
        return len(orphans)

    def _take_events(self, seconds: float) -> bool:
        """Process the events of some time; return whether the frontier may have moved."""
        is_quiescent = False
        for event in self._store.events(seconds):
            is_quiescent |= isinstance(event, Quiescent)
            self._handle(event)
        return is_quiescent

    def _handle(self, event: Event) -> None:
        match event:
            case Results(results, failures):
                for pe_id, output, items in results:
                    self._results.add(pe_id, output, items)
                self._failures.add(failures)
            case LogLine(pe_id, rank, message):
                show_log(pe_id, rank, message)
            case Activity(report):
                self._events.report(report)
            case UndeclaredState():
                self._note_change(event)
            case Quiescent():
                pass
            case WorkerFailed(error):
                raise pickle.loads(error)
            case WorkerExited(rank, process, cause, drained):
                lost = WorkerLostError(rank, process, cause)
                self._supervisor.on_worker_exited(lost, drained=drained)
            case WorkerStopping(rank, threads):
                self._supervisor.on_worker_stopping(rank, threads)
            case note:
                RUN_LOG.warning("%s", note.text)
                self._stats.notes.append(note.text)

    def _note_change(self, change: UndeclaredState) -> None:
        """Take note of state that a PE keeps without declaring it.

        Raises:
            UndeclaredStateError: the run is strict.
        """
        self._files[change.pe_id, change.rank] = change.files
        if change.attributes:
            self._changed.setdefault(change.pe_id, change.attributes)
            if self._plan.strict:
                raise undeclared_state_error(change.pe_id, change.attributes)

    def _update_stats(self) -> None:
        self._stats.instances = self._store.stats()
        for entry in self._stats.instances:
            entry.changed = self._changed.get(entry.pe_id, ())
            entry.files = self._files.get((entry.pe_id, entry.rank), ())
        self._stats.seconds = perf_counter() - self._started_at
        if self._autoscaler is not None:
            self._autoscaler.report(self._stats)
        else:
            self._stats.worker_seconds = self._stats.processes * self._stats.seconds
