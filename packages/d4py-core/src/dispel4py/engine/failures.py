"""Failures of a run that skips them: all are counted, and the first ones are kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dispel4py.engine.items.copying import Copier
from dispel4py.engine.items.sizes import size_of
from dispel4py.engine.limits import EngineLimits
from dispel4py.errors import GroupingError, ItemError, ProcessingError
from dispel4py.result import Failure, FailureCount, OnFailure, RunResult

_IN_GROUPING = f"{GroupingError.__module__}.{GroupingError.__qualname__}"


def skip_item(error: ProcessingError, item: Any, copier: Copier) -> Failure:
    """Return the failure of an item that is skipped, which the PE may have kept and change later.

    Args:
        error: the error.
        item: the item, which is copied if it can be.
        copier: copies it.
    """
    try:
        return Failure(error, copier(item))
    except ItemError:
        return Failure(error, item)


class FailureCollector:
    """Counts failures, and passes them to `on_failure` or keeps the first ones for `RunResult`.

    Args:
        on_failure: see `dispel4py.RunOptions`.
        limits: how many failures to keep.
        on_add: called with each failure, beside all else.

    Attributes:
        kept: the first failures; none if `on_failure` takes them.
    """

    def __init__(
        self,
        on_failure: OnFailure | None = None,
        limits: EngineLimits = EngineLimits(),
        on_add: OnFailure | None = None,
    ) -> None:
        self._max_failures, self._max_bytes = limits.kept_failures, limits.kept_failure_bytes
        self.kept: list[Failure] = []
        self._on_failure = on_failure
        self._on_add = on_add
        self._counts: dict[tuple[str, str, str], FailureCount] = {}
        self._bytes = 0

    def add(self, failures: Iterable[Failure]) -> None:
        """Add failures."""
        for failure in failures:
            self._count(failure)
            if self._on_add is not None:
                self._on_add(failure)
            if self._on_failure is not None:
                self._on_failure(failure)
            elif len(self.kept) < self._max_failures and self._bytes < self._max_bytes:
                self.kept.append(failure)
                self._bytes += failure_bytes(failure)

    def _count(self, failure: Failure) -> None:
        error = failure.error
        key = error.pe_id, error.phase, error.exception_type
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = FailureCount(*key, first=str(error))
        count.failures += 1

    @property
    def counts(self) -> list[FailureCount]:
        """Number of failures of each kind, the most frequent kind first."""
        return sorted(self._counts.values(), key=lambda count: -count.failures)


def failure_bytes(failure: Failure) -> int:
    """Return about how many bytes a failure takes."""
    # The error and its note both hold the text, and the cause is about as large.
    return size_of(failure.item) + 3 * len(failure.error.user_traceback) + 1000


def count_failures(result: RunResult, on_failure: OnFailure | None) -> None:
    """Count the failures of a run, where its mapping has only listed them.

    Args:
        result: the result of the run; it is changed.
        on_failure: see `dispel4py.RunOptions`.
    """
    if result.failures and not result.failure_counts:
        collector = FailureCollector(on_failure)
        collector.add(result.failures)
        result.failures, result.failure_counts = collector.kept, collector.counts


def pes_without_success(result: RunResult) -> dict[str, int]:
    """Return the ids of the PEs of which every call has failed, and how many calls there were."""
    failed: dict[str, int] = {}
    for count in result.failure_counts:
        # Several items of one call may lack their group key.
        if count.phase == "process" and count.exception_type != _IN_GROUPING:
            failed[count.pe_id] = failed.get(count.pe_id, 0) + count.failures
    calls = result.stats.items_per_pe()
    return {pe_id: n for pe_id, n in failed.items() if n >= calls.get(pe_id, 0) > 0}
