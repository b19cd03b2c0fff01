"""The driver of a fixed mapping: feeds the roots, takes results and logs, and sees the run end.

It speaks to the ranks as one more rank, runs no PE, and learns of a rank's death from whoever
started it.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, perf_counter

from d4py_fixed.engine.dispatching import CallDispatcher
from d4py_fixed.engine.frames import (
    RESULTS,
    Credit,
    Frame,
    LogLine,
    ProgressReport,
    Results,
    Shutdown,
    from_parts,
    to_parts,
)
from d4py_fixed.engine.placement import Placement
from d4py_fixed.engine.transport import Transport
from dispel4py.core import show_log
from dispel4py.engine.failures import FailureCollector
from dispel4py.engine.inputs import RootInput
from dispel4py.errors import ItemError
from dispel4py.result import (
    InstanceStats,
    ResultCollector,
    RunOptions,
    RunResult,
    RunStats,
)

#: Seconds between two looks at the ranks while nothing arrives, and while roots are being fed.
_TICK_SECONDS, _FEEDING_TICK_SECONDS = 0.05, 0.005
_PROGRESS_SECONDS = 0.2


class Driver:
    """Takes a run to its end.

    Args:
        placement: the plan and its place.
        given: inputs of the roots.
        transport: to the ranks; the driver is rank number `placement.ranks`.
        check: raises if a rank has failed or died.
        options: the run's options.
        stats: filled in as the run goes.
    """

    def __init__(
        self,
        placement: Placement,
        given: dict[int, RootInput],
        transport: Transport,
        check: Callable[[], None],
        options: RunOptions,
        stats: RunStats,
    ) -> None:
        self._placement = placement
        self._transport = transport
        self._check = check
        self._options = options
        self._stats = stats
        self._results = ResultCollector(options.on_result)
        self._failures = FailureCollector(options.on_failure)
        pes = placement.plan.pes
        dispatchers = {root: CallDispatcher(pes[root], value) for root, value in given.items()}
        # What is at hand goes first: a root that is slow to take large inputs holds up the driver.
        self._dispatchers = dict(sorted(dispatchers.items(), key=lambda entry: entry[1].reads))
        self._stats_of: dict[int, list[InstanceStats]] = {}
        self._ended: set[int] = set()
        self._started_at = perf_counter()

    def run(self) -> RunResult:
        """Run to the end.

        Raises:
            RunError: a PE raised, or a rank died.
        """
        try:
            for dispatcher in self._dispatchers.values():
                dispatcher.start()
            self._feed()
            next_progress = monotonic() + _PROGRESS_SECONDS
            while len(self._ended) < self._placement.ranks:
                is_feeding = not all(dispatcher.done for dispatcher in self._dispatchers.values())
                self._take_in(_FEEDING_TICK_SECONDS if is_feeding else _TICK_SECONDS)
                self._check()
                self._feed()
                if self._options.on_progress is not None and monotonic() >= next_progress:
                    next_progress = monotonic() + _PROGRESS_SECONDS
                    self._update_stats()
                    self._options.on_progress(self._stats)
            for rank in range(self._placement.ranks):
                self._send(rank, Shutdown())
        finally:
            for dispatcher in self._dispatchers.values():
                dispatcher.stop()
        self._update_stats()
        failures = self._failures
        return RunResult(self._results.outputs, failures.kept, self._stats, failures.counts)

    def _feed(self) -> None:
        for dispatcher in self._dispatchers.values():
            for frame in dispatcher.dispatch():
                self._send(self._placement.rank_of[frame.pe, frame.instance], frame)

    def _take_in(self, seconds: float) -> None:
        """Wait for a frame for up to `seconds`; take in what is there, for a tick at the most."""
        until = monotonic() + _TICK_SECONDS
        arrived = self._transport.receive(seconds)
        while arrived is not None:
            rank, parts = arrived
            try:
                frame = from_parts(parts)
            except ItemError as error:
                raise ItemError(f"{error}; {self._placement.describe(rank)} sent it") from error
            self._deal_with(rank, frame)
            arrived = self._transport.receive(0.0) if monotonic() < until else None

    def _deal_with(self, rank: int, frame: Frame) -> None:
        match frame:
            case Results(results, failures):
                # Answered first: the rank can go on while the caller looks at the results.
                self._send(rank, Credit(RESULTS, 0))
                for pe_id, output, items in results:
                    self._results.add(pe_id, output, items)
                self._failures.add(failures)
            case LogLine(pe_id, of_rank, message):
                show_log(pe_id, of_rank, message)
            case ProgressReport(stats, ended):
                self._stats_of[rank] = stats
                if ended:
                    self._ended.add(rank)
            case Credit(pe, instance):
                self._dispatchers[pe].answered(instance)
            case _:
                raise AssertionError(f"the driver got {frame!r}")

    def _update_stats(self) -> None:
        self._stats.instances = [
            entry for rank in sorted(self._stats_of) for entry in self._stats_of[rank]
        ]
        self._stats.seconds = perf_counter() - self._started_at

    def _send(self, rank: int, frame: Frame) -> None:
        self._transport.send(rank, to_parts(frame))
