"""What a rank has for others and has not sent yet: fills while a receiver is busy.

A receiver that has answered everything gets what there is at once, however little; one that is
behind gets full batches, or what has come in some milliseconds, and only a few that it has not
answered.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from time import monotonic
from typing import Any

from d4py_fixed.placement import Instance
from dispel4py.codec import about_bytes
from dispel4py.executor import CHUNK, SLICE_SECONDS
from dispel4py.result import Failure

#: Batches on their way to one receiving instance that it has not answered yet.
WINDOW = 3
#: The same for results on their way to the driver.
RESULTS_WINDOW = 8
#: A batch is full with so many items, or about so many bytes.
_FULL_ITEMS, _FULL_BYTES = CHUNK, 1 << 20

#: What comes this much later than the last batch for the same receiver is held back no longer.
_LINGER = SLICE_SECONDS

#: PE number, instance, input.
_Key = tuple[int, int, str]
SendItems = Callable[[int, int, str, list[Any]], None]
SendResults = Callable[[list[tuple[str, str, list[Any]]], list[Failure]], None]


class Outgoing:
    """Batches by receiving instance, and results.

    Args:
        send_items: sends a batch: PE number, instance, input, items.
        send_results: sends results and failures.
    """

    def __init__(self, send_items: SendItems, send_results: SendResults) -> None:
        self._send_items = send_items
        self._send_results = send_results
        self._batches: dict[_Key, list[Any]] = {}
        self._fill: dict[_Key, float] = {}
        self._sent_at: dict[_Key, float] = {}
        self._unanswered: dict[Instance, int] = {}
        self._results: dict[tuple[str, str], list[Any]] = {}
        self._failures: list[Failure] = []
        self._results_fill = 0.0
        self._results_sent_at = 0.0
        self._unanswered_results = 0

    def add_items(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        key = (pe, instance, input_name)
        self._batches.setdefault(key, []).extend(items)
        self._fill[key] = self._fill.get(key, 0.0) + _fill(items)

    def add_results(self, pe_id: str, output: str, items: list[Any]) -> None:
        self._results.setdefault((pe_id, output), []).extend(items)
        self._results_fill += _fill(items)

    def add_failure(self, failure: Failure) -> None:
        self._failures.append(failure)

    def waits(self, pes: Container[int] | None = None) -> bool:
        """Something waits to be sent, for some PEs or at all."""
        if pes is None:
            return bool(self._batches or self._results or self._failures)
        return any(pe in pes for pe, _, _ in self._batches)

    def overfull(self) -> set[int]:
        """PEs of which an instance is so far behind that its senders should pause."""
        return {pe for (pe, _, _), fill in self._fill.items() if fill >= 2}

    @property
    def results_overfull(self) -> bool:
        """The same for the driver."""
        return self._results_fill >= 2

    def answered(self, pe: int, instance: int) -> None:
        """A receiver has used up one batch; `pe` is -1 for the driver."""
        if pe < 0:
            self._unanswered_results -= 1
        else:
            self._unanswered[pe, instance] -= 1

    def flush(self, *, idle: bool = False) -> None:
        """Send what may be sent now.

        Args:
            idle: this rank has nothing to do that would fill batches further.
        """
        now = monotonic()
        for key in list(self._batches):
            pe, instance, _ = key
            unanswered = self._unanswered.get((pe, instance), 0)
            due = idle or self._fill[key] >= 1 or now - self._sent_at.get(key, 0.0) >= _LINGER
            if unanswered == 0 or (due and unanswered < WINDOW):
                self._unanswered[pe, instance] = unanswered + 1
                self._sent_at[key] = now
                del self._fill[key]
                self._send_items(*key, self._batches.pop(key))
        if self._results or self._failures:
            unanswered = self._unanswered_results
            due = idle or self._results_fill >= 1 or now - self._results_sent_at >= _LINGER
            if unanswered == 0 or (due and unanswered < RESULTS_WINDOW):
                results = [(pe_id, name, items) for (pe_id, name), items in self._results.items()]
                failures, self._failures = self._failures, []
                self._results, self._results_fill = {}, 0.0
                self._results_sent_at = now
                self._unanswered_results += 1
                self._send_results(results, failures)


def _fill(items: list[Any]) -> float:
    """How full a batch these items make; 1 is full."""
    return max(len(items) / _FULL_ITEMS, about_bytes(items) / _FULL_BYTES)
