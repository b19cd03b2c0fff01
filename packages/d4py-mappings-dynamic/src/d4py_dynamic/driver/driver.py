"""The driver: feeds the roots, watches the workers, hands results on, and knows when it is over.

It runs no PE.  It learns of everything from the store's events, and of the workers from the
`WorkerSupervisor`.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from time import monotonic, perf_counter

from d4py_dynamic.autoscaling.policies import Policy
from d4py_dynamic.driver.autoscaler import Autoscaler
from d4py_dynamic.driver.frontier import Frontier
from d4py_dynamic.driver.input_feeder import InputFeeder
from d4py_dynamic.driver.limits import DriverLimits
from d4py_dynamic.driver.supervisor import WorkerSupervisor
from d4py_dynamic.store.protocols import (
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
from d4py_dynamic.worker.outbox import pieces
from dispel4py.checks.undeclared_state import undeclared
from dispel4py.core import show_log
from dispel4py.engine.failures import FailureCollector
from dispel4py.engine.input_reader import is_in_memory
from dispel4py.engine.inputs import CallRange, RootInput, calls
from dispel4py.engine.plan import Plan
from dispel4py.errors import WorkerLostError
from dispel4py.logs import RUN_LOG
from dispel4py.result import ResultCollector, RunOptions, RunResult, RunStats


class Driver:
    """Runs a plan to its end over a store and some workers.

    Args:
        plan: the plan.
        given: inputs of the roots.
        store: the store.
        make_store: makes another connection to it, for a thread.
        supervisor: the workers.
        options: the run's options.
        stats: filled in as the run goes.
        policy: says how many workers are to be active; None leaves all of them so.
        begun: called when everything is in the store that is given at once, with the roots that
            are still to be fed.
        previous: state of the driver that this one takes over from; None if the run begins.
        limits: intervals and limits.
    """

    def __init__(
        self,
        plan: Plan,
        given: dict[int, RootInput],
        store: RunStore,
        make_store: Callable[[], RunStore],
        supervisor: WorkerSupervisor,
        options: RunOptions,
        stats: RunStats,
        policy: Policy | None = None,
        begun: Callable[[list[int]], None] = lambda roots: None,
        previous: DriverState | None = None,
        limits: DriverLimits = DriverLimits(),
    ) -> None:
        self._limits = limits
        self._begun = begun
        self._plan = plan
        self._store = store
        self._supervisor = supervisor
        self._options = options
        self._stats = stats
        self._results = ResultCollector(options.on_result)
        self._failures = FailureCollector(options.on_failure)
        self._changed: dict[str, tuple[str, ...]] = {}
        self._files: dict[tuple[str, int], tuple[tuple[str, str], ...]] = {}
        self._feeders: list[InputFeeder] = []
        self._started_at = perf_counter()
        first: list[Task] = []
        fed = {} if previous is None else previous.offsets
        for root, value in given.items():
            if not is_in_memory(value) or previous is not None:
                before = fed[root].calls if root in fed else 0
                self._feeders.append(InputFeeder(plan.pes[root], value, make_store, before, limits))
                continue
            made = value if isinstance(value, int) else list(calls(plan.pes[root], value))
            if not is_pinned(plan.pes[root]):
                shared = pieces(CallRange(0, made), len(store.load().idle))
                first += [Task(CALLS, root, ANY, None, piece) for piece in shared]
            elif made:
                first.append(Task(CALLS, root, 0, None, made))
        self._scaler = (
            None if policy is None else Autoscaler(policy, store, supervisor, self._started_at)
        )
        feeding = {feeder.root for feeder in self._feeders}
        self._frontier = Frontier(plan, feeding, () if previous is None else previous.finishing)
        self._first = first

    def run(self) -> RunResult:
        """Run to the end.

        Raises:
            RunError: a PE raised, a worker died, or the store failed.
        """
        try:
            self._store.put(self._first)
            self._begun([feeder.root for feeder in self._feeders])
            for feeder in self._feeders:
                feeder.start()
            self._loop()
            self._supervisor.dismiss(lambda: self._take_events(0.0))
            while events := self._store.events(0.0):
                for event in events:
                    self._deal_with(event)
        finally:
            for feeder in self._feeders:
                feeder.stop()
            if self._scaler is not None:
                self._scaler.report(self._stats)
        self._update_stats()
        self._stats.notes += self._supervisor.notes
        failures = self._failures
        return RunResult(self._results.outputs, failures.kept, self._stats, failures.counts)

    def _loop(self) -> None:
        limits = self._limits
        next_progress = monotonic() + limits.progress_seconds
        next_check = monotonic()
        tick = limits.tick_seconds if self._scaler is None else limits.scaling_seconds
        next_step = 0.0
        while True:
            look = self._take_events(tick)
            self._supervisor.check()
            if self._scaler is not None and perf_counter() >= next_step:
                next_step = perf_counter() + limits.scaling_seconds
                self._scaler.step(perf_counter())
            for feeder in self._feeders:
                if feeder.error is not None:
                    raise feeder.error
                if feeder.done and feeder.root in self._frontier.feeding:
                    self._frontier.feeding.discard(feeder.root)
                    look = True
            if look or monotonic() >= next_check:
                next_check = monotonic() + limits.check_seconds
                self._advance()
                if self._frontier.complete:
                    break
            if self._options.on_progress is not None and monotonic() >= next_progress:
                next_progress = monotonic() + limits.progress_seconds
                self._update_stats()
                self._options.on_progress(self._stats)
        while self._store.missing_results() > 0:
            self._take_events(limits.tick_seconds)
            self._supervisor.check()

    def _advance(self) -> None:
        """Move the frontier as far as it goes now."""
        while True:
            watched = self._frontier.watched
            unfinished = self._store.unfinished(watched)
            for pe in self._frontier.finishing:
                if not unfinished[pe]:  # a worker may have left instead of postprocessing
                    unfinished[pe] = self._finish_orphans(pe)
            to_finish = self._frontier.advance(unfinished)
            for pe in to_finish:
                self._finish(pe)
            if self._frontier.watched == watched:
                return

    def _finish(self, pe: int) -> None:
        planned = self._plan.pes[pe]
        if is_pinned(planned):
            instances = range(planned.instances)
            self._store.finish(pe, [(Task(FINISH, pe, i), None) for i in instances])
            return
        replicas = self._store.replicas(pe)
        if replicas:
            self._store.finish(pe, [(Task(FINISH, pe), rank) for rank in replicas])
        # In this order: what is a replica no more has become an orphan.
        if not self._finish_orphans(pe) and not replicas:
            # Even if no item came, there is one instance.
            self._store.finish(pe, [(Task(FINISH, pe), None)])

    def _finish_orphans(self, pe: int) -> int:
        """Have the replicas postprocessed that their workers have left; how many there are."""
        left = self._store.orphans(pe)
        if left:
            tasks = [(Task(FINISH, pe, load=orphan.replica), None) for orphan in left]
            self._store.finish(pe, tasks, left)
        return len(left)

    def _take_events(self, seconds: float) -> bool:
        """Deal with what has happened; True if the frontier may have moved."""
        drained = False
        for event in self._store.events(seconds):
            drained |= isinstance(event, Quiescent)
            self._deal_with(event)
        return drained

    def _deal_with(self, event: Event) -> None:
        match event:
            case Results(results, failures):
                for pe_id, output, items in results:
                    self._results.add(pe_id, output, items)
                self._failures.add(failures)
            case LogLine(pe_id, rank, message):
                show_log(pe_id, rank, message)
            case UndeclaredState(pe_id, rank, attributes, files):
                self._files[pe_id, rank] = files
                if attributes:
                    self._changed.setdefault(pe_id, attributes)
                if attributes and self._plan.strict:
                    raise undeclared(pe_id, attributes)
            case Quiescent():
                pass
            case WorkerFailed(error):
                raise pickle.loads(error)
            case WorkerExited(rank, process, cause, has_left):
                self._supervisor.see_off(WorkerLostError(rank, process, cause), has_left=has_left)
            case WorkerStopping(rank, threads):
                self._supervisor.finishing(rank, threads)
            case note:
                RUN_LOG.warning("%s", note.text)
                self._stats.notes.append(note.text)

    def _update_stats(self) -> None:
        self._stats.instances = self._store.stats()
        for entry in self._stats.instances:
            entry.changed = self._changed.get(entry.pe_id, ())
            entry.files = self._files.get((entry.pe_id, entry.rank), ())
        self._stats.seconds = perf_counter() - self._started_at
        if self._scaler is not None:
            self._scaler.report(self._stats)
        else:
            self._stats.worker_seconds = self._stats.processes * self._stats.seconds
