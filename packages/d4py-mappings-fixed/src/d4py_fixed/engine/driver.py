"""The driver of a fixed mapping: feeds the roots, collects results and logs, and ends the run.

The driver exchanges frames with the ranks as one more rank, but runs no PE.  The mapping, which has
started the ranks, checks whether they still run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic, perf_counter
from typing import TYPE_CHECKING

from d4py_fixed.engine.dispatching import CallDispatcher
from d4py_fixed.engine.frame_transport import FrameTransport
from d4py_fixed.engine.frames import (
    RESULTS,
    Activity,
    Credit,
    Frame,
    LogLine,
    RankEnded,
    Results,
    Shutdown,
)
from d4py_fixed.engine.limits import RankLimits
from d4py_fixed.engine.placement import Placement
from dispel4py.core import show_log
from dispel4py.engine.calls.unsent_items import unpicklable_result_error
from dispel4py.engine.execution.pickled_items import UnreadItem, drop_unread
from dispel4py.engine.failures import FailureCollector
from dispel4py.engine.inputs import RootInput
from dispel4py.engine.run_events import events_of
from dispel4py.result import (
    Failure,
    InstanceStats,
    ResultCollector,
    RunOptions,
    RunResult,
    RunStats,
)

if TYPE_CHECKING:
    from dispel4py.engine.execution.metering import MeterReport


def reports_activity(options: RunOptions) -> bool:
    """Return whether ranks report to the driver what their instances do."""
    return options.on_progress is not None or events_of(options).is_observed


class Driver:
    """Drives a run until all ranks have ended.

    Args:
        placement: the plan, and which rank runs what.
        inputs: inputs of the roots.
        frames: to and from the ranks; the driver is rank number `placement.ranks`.
        check: raises if a rank has failed or died.
        options: the run's options.
        mapping: the mapping's name.
        limits: bounds and intervals.
        clock: the time in seconds.
    """

    def __init__(
        self,
        placement: Placement,
        inputs: dict[int, RootInput],
        frames: FrameTransport,
        check: Callable[[], None],
        options: RunOptions,
        mapping: str,
        limits: RankLimits = RankLimits(),
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._placement = placement
        self._frames = frames
        self._check = check
        self._options = options
        self._stats = RunStats(mapping, placement.ranks, seed=placement.plan.seed)
        self._limits = limits
        self._clock = clock
        self._results = ResultCollector(options.on_result)
        plan = placement.plan
        self._events = events_of(options)
        self._failures = FailureCollector(options.on_failure, plan.limits, self._events.failure)
        self._inputs = inputs
        dispatchers = {
            root: CallDispatcher(plan.pes[root], of_root, limits, plan.limits)
            for root, of_root in inputs.items()
        }
        # Those in memory come first: a root that is slow to receive large inputs blocks the driver.
        self._dispatchers = dict(sorted(dispatchers.items(), key=lambda entry: entry[1].is_lazy))
        self._stats_of: dict[int, list[InstanceStats]] = {}
        self._activity: dict[tuple[int, str, int], InstanceStats] = {}
        self._ended: set[int] = set()
        self._started_at = perf_counter()

    def run(self) -> RunResult:
        """Feed the roots and handle the ranks' frames until all ranks have ended.

        Raises:
            RunError: a PE raised, or a rank died.
        """
        failures = self._failures
        result = RunResult(self._results.outputs, failures.kept, self._stats)
        self._events.begin(self._placement.plan, self._inputs, result)
        try:
            for dispatcher in self._dispatchers.values():
                dispatcher.start()
            self._feed()
            next_progress = self._clock() + self._limits.progress_seconds
            while len(self._ended) < self._placement.ranks:
                is_feeding = not all(one.is_done for one in self._dispatchers.values())
                limits = self._limits
                self._receive(limits.feeding_seconds if is_feeding else limits.check_seconds)
                self._check()
                self._feed()
                if self._options.on_progress is not None and self._clock() >= next_progress:
                    next_progress = self._clock() + limits.progress_seconds
                    self._update_stats()
                    self._options.on_progress(self._stats)
            for rank in range(self._placement.ranks):
                self._frames.send(rank, Shutdown())
        finally:
            for dispatcher in self._dispatchers.values():
                dispatcher.stop()
            self._update_stats()
            result.failure_counts = failures.counts
        return result

    def _feed(self) -> None:
        for dispatcher in self._dispatchers.values():
            for frame in dispatcher.dispatch():
                self._frames.send(self._placement.rank_of[frame.pe, frame.instance], frame)

    def _receive(self, seconds: float) -> None:
        """Wait for a frame; handle all that have arrived, until the next check is due."""
        until = self._clock() + self._limits.check_seconds
        arrived = self._frames.receive(seconds)
        while arrived is not None:
            self._handle(*arrived)
            arrived = self._frames.receive(0.0) if self._clock() < until else None

    def _handle(self, rank: int, frame: Frame) -> None:
        match frame:
            case Results(results, failures):
                # Answered first: the rank can go on while the caller handles the results.
                self._frames.send(rank, Credit(RESULTS, 0))
                for pe_id, output, arrived in results:
                    items = arrived
                    if UnreadItem.were_made:
                        items = drop_unread(arrived, partial(self._refuse, pe_id, output))
                    self._results.add(pe_id, output, items)
                self._failures.add(failures)
            case LogLine(pe_id, of_rank, message):
                show_log(pe_id, of_rank, message)
            case Activity(report):
                self._note(report)
            case RankEnded(stats):
                self._stats_of[rank] = stats
                self._ended.add(rank)
            case Credit(pe, instance):
                self._dispatchers[pe].on_credit(instance)
            case _:
                raise AssertionError(f"the driver received {frame!r}")

    def _refuse(self, pe_id: str, output: str, item: UnreadItem) -> None:
        """Handle the error of a result that cannot be unpickled here."""
        _, instance = item.writer
        found = unpicklable_result_error(self._placement.plan, pe_id, output, item.error, instance)
        if self._options.on_error == "stop":
            raise found
        self._failures.add([Failure(found)])

    def _note(self, report: MeterReport) -> None:
        """Take note of what has changed in a rank."""
        for one in report.instances:
            entry = InstanceStats(one.pe_id, report.worker, one.calls, one.seconds)
            self._activity[report.worker, one.pe_id, one.instance] = entry
        self._events.report(report)

    def _update_stats(self) -> None:
        stats_of: dict[int, list[InstanceStats]] = {}
        for (rank, _, _), entry in self._activity.items():
            stats_of.setdefault(rank, []).append(entry)
        stats_of |= self._stats_of  # complete
        self._stats.instances = [entry for rank in sorted(stats_of) for entry in stats_of[rank]]
        self._stats.seconds = perf_counter() - self._started_at
