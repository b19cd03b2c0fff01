"""What a rank has for others and has not sent yet: fills while a receiver is busy.

A receiver that has answered everything gets what there is at once, however little; one that is
behind gets full batches, or what has come in some milliseconds, and only a few that it has not
answered.

Items that any instance of a PE may have are dealt out in turn, but no more of them leave at once
than the receiver has shown to do in a moment, and fewer when little is left; an instance that has
nothing to do gets half of what still waits here for another one.  So no instance is idle for long
while others have too much to do.  (Polychronopoulos, Kuck: *Guided
self-scheduling*, IEEE Transactions on Computers, 1987.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Mapping, Sequence
from time import monotonic
from typing import Any

from d4py_fixed.engine.placement import Instance
from dispel4py.engine.executor import CHUNK, SLICE_SECONDS
from dispel4py.engine.failures import failure_bytes
from dispel4py.engine.sizes import SLICE_BYTES, estimate_bytes
from dispel4py.result import Failure

#: Batches on their way to one receiving instance that it has not answered yet.
WINDOW = 3
#: The same for results on their way to the driver.
RESULTS_WINDOW = 8
#: A batch is full with so many items, or about so many bytes.
_FULL_ITEMS, _FULL_BYTES = CHUNK, SLICE_BYTES

#: What comes this much later than the last batch for the same receiver is held back no longer.
_LINGER = SLICE_SECONDS

#: What any instance may have goes to one in batches that it does in about so many seconds.
_AHEAD_SECONDS = 0.1

#: PE number, instance, input.
_Key = tuple[int, int, str]
SendItems = Callable[[int, int, str, list[Any]], int]
SendResults = Callable[[list[tuple[str, str, list[Any]]], list[Failure]], None]


class SendBuffers:
    """Batches by receiving instance, and results.

    Args:
        send_items: sends a batch: PE number, instance, input, items; how many bytes that was.
        send_results: sends results and failures.
        shared: (PE number, input) → the instances that may have each other's items.
    """

    def __init__(
        self,
        send_items: SendItems,
        send_results: SendResults,
        shared: Mapping[tuple[int, str], Sequence[int]] | None = None,
    ) -> None:
        self._send_items = send_items
        self._send_results = send_results
        self._shared = shared or {}
        self._pace: dict[Instance, _Pace] = {
            (pe, instance): _Pace()
            for (pe, _), instances in self._shared.items()
            for instance in instances
        }
        self._batches: dict[_Key, list[Any]] = {}
        self._fill: dict[_Key, float] = {}
        self._sent_at: dict[_Key, float] = {}
        self._item_bytes: dict[_Key, float] = {}
        self._unanswered: dict[Instance, int] = {}
        self._results: dict[tuple[str, str], list[Any]] = {}
        self._failures: list[Failure] = []
        self._results_fill = 0.0
        self._results_sent_at = 0.0
        self._unanswered_results = 0

    def add_items(
        self, pe: int, instance: int, input_name: str, items: list[Any], size: float | None = None
    ) -> None:
        """Add to a batch.

        Args:
            pe: number of the receiving PE.
            instance: which of its instances.
            input_name: its input.
            items: the items.
            size: how many bytes they are known to take.
        """
        key = (pe, instance, input_name)
        self._batches.setdefault(key, []).extend(items)
        if size is None:
            size = estimate_bytes(items)
        # Of what was written together, large items may all go to one instance.
        size = max(size, self._item_bytes.get(key, 0.0) * len(items))
        self._fill[key] = self._fill.get(key, 0.0) + _fill(len(items), size)

    def add_results(
        self, pe_id: str, output: str, items: list[Any], size: float | None = None
    ) -> None:
        """Add results; `size` as for items."""
        self._results.setdefault((pe_id, output), []).extend(items)
        if size is None:
            size = estimate_bytes(items)
        self._results_fill += _fill(len(items), size)

    def add_failure(self, failure: Failure) -> None:
        """Add a failure, which goes the way of the results."""
        self._failures.append(failure)
        self._results_fill += _fill(1, failure_bytes(failure))

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
            if (pe, instance) in self._pace:
                self._pace[pe, instance].answered()

    def flush(self, *, idle: bool = False) -> None:
        """Send what may be sent now.

        Args:
            idle: this rank has nothing to do that would fill batches further.
        """
        now = monotonic()
        waiting: dict[tuple[int, str], int] = {}
        for (pe, input_name), instances in self._shared.items():
            waiting[pe, input_name] = self._relieve(pe, input_name, instances)
        for key in list(self._batches):
            pe, instance, input_name = key
            if (pe, input_name) in waiting:
                waiting[pe, input_name] -= self._send_in_pace(
                    key, now, idle, waiting[pe, input_name]
                )
                continue
            unanswered = self._unanswered.get((pe, instance), 0)
            due = idle or self._fill[key] >= 1 or now - self._sent_at.get(key, 0.0) >= _LINGER
            if unanswered == 0 or (due and unanswered < WINDOW):
                self._send_batch(key, now, len(self._batches[key]))
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

    def _send_batch(self, key: _Key, now: float, count: int) -> None:
        """Send the first items of a batch."""
        pe, instance, _ = key
        items = self._batches.pop(key)
        fill = self._fill.pop(key)
        if count < len(items):
            self._batches[key] = items[count:]
            self._fill[key] = fill * (len(items) - count) / len(items)
            items = items[:count]
        self._unanswered[pe, instance] = self._unanswered.get((pe, instance), 0) + 1
        self._sent_at[key] = now
        self._item_bytes[key] = self._send_items(*key, items) / len(items)

    def _send_in_pace(self, key: _Key, now: float, idle: bool, waiting: int) -> int:
        """Send what an instance should have of what others may have too, of so much in all.

        Returns:
            How many items were sent.
        """
        pe, instance, input_name = key
        pace = self._pace[pe, instance]
        share = 2 * len(self._shared[pe, input_name])
        late = now - self._sent_at.get(key, 0.0) >= _LINGER
        sent = 0
        while key in self._batches:
            unanswered = self._unanswered.get((pe, instance), 0)
            due = idle or late or self._fill[key] >= 1 or len(self._batches[key]) >= pace.most
            if unanswered and (unanswered >= WINDOW or not due):
                break
            most = min(pace.most, -(-(waiting - sent) // share))
            count = min(most, len(self._batches[key]))
            pace.sent(count)
            self._send_batch(key, now, count)
            sent += count
        return sent

    def _relieve(self, pe: int, input_name: str, instances: Sequence[int]) -> int:
        """Give instances that have nothing to do half of what waits for another one.

        It is the later half, so items of an edge stay in order on the way to either instance.

        Returns:
            How many items wait in all.
        """
        sizes = {
            i: len(self._batches[pe, i, input_name])
            for i in instances
            if (pe, i, input_name) in self._batches
        }
        waiting = sum(sizes.values())
        for idle in instances if 0 < len(sizes) < len(instances) else ():
            if self._unanswered.get((pe, idle)) or idle in sizes:
                continue
            longest = max(sizes, key=sizes.__getitem__, default=None)
            if longest is None or not self._unanswered.get((pe, longest)):
                break  # what waits is about to be sent
            key = (pe, longest, input_name)
            items, fill = self._batches.pop(key), self._fill.pop(key)
            kept = len(items) // 2
            del sizes[longest]
            if kept:
                self._batches[key], self._fill[key] = items[:kept], fill * kept / len(items)
                sizes[longest] = kept
            self.add_items(pe, idle, input_name, items[kept:])
            self._pace[pe, idle].inherit(self._pace[pe, longest])
        return waiting


class _Pace:
    """How fast an instance answers.

    Attributes:
        most: how many items a batch for it should have at the most.
    """

    def __init__(self) -> None:
        self.most = 1
        self._unanswered: deque[tuple[float, int]] = deque()
        self._answered_at = 0.0

    def sent(self, count: int) -> None:
        self._unanswered.append((monotonic(), count))

    def inherit(self, other: _Pace) -> None:
        """What comes now was meant for a slower one, and may be the reason."""
        self.most = min(self.most, other.most)

    def answered(self) -> None:
        if not self._unanswered:  # by another input of the instance
            return
        now = monotonic()
        sent_at, count = self._unanswered.popleft()
        seconds = now - max(sent_at, self._answered_at)
        self._answered_at = now
        self.most = max(1, min(CHUNK, int(count * _AHEAD_SECONDS / max(seconds, 1e-6))))


def _fill(count: int, size: float) -> float:
    """Return how full a batch so many items make, of so many bytes; 1 is full."""
    return max(count / _FULL_ITEMS, size / _FULL_BYTES)
