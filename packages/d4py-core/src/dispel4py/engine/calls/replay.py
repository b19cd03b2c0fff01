"""Counting of what an instance sends, so that calls that are repeated send nothing twice.

A worker that is lost may have sent part of what its calls wrote.  Its successor repeats the calls
and drops as many items per output as were sent before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class CallOffset(NamedTuple):
    """How far a series of calls had come, of a PE that resumes calls (`GenericPE.seeks`).

    Attributes:
        calls: how many calls of the series were complete.
        sent: outputs, and how many items the call after those had sent.
    """

    calls: int
    sent: tuple[tuple[str, int], ...] = ()


class ReplayCounter:
    """Counts the items that an instance sends, and drops those that were sent before.

    Args:
        outputs: names of the outputs.

    Attributes:
        sent: output name → items that were sent or dropped since `begin`; None before that.
    """

    def __init__(self, outputs: Iterable[str]) -> None:
        self._outputs = tuple(outputs)
        self.sent: dict[str, int] | None = None
        self._to_drop: dict[str, int] = {}

    def begin(
        self, sent_before: Mapping[str, int] | None = None, call_offset: CallOffset | None = None
    ) -> None:
        """Begin to count.

        Args:
            sent_before: output name → items that the calls to come had sent before they were
                repeated; so many are dropped.
            call_offset: how far those calls had come; see `SeekingCounter`.
        """
        self.sent = dict.fromkeys(self._outputs, 0)
        self._to_drop = dict(sent_before or {})

    def to_send(self, output: str, items: list[Any]) -> list[Any]:
        """Return those of some written items that were not sent before."""
        assert self.sent is not None
        self.sent[output] += len(items)
        to_drop = self._to_drop.get(output, 0)
        if to_drop:
            self._to_drop[output] = max(0, to_drop - len(items))
        return items[to_drop:]

    def dropping(self, output: str) -> int:
        """Return how many more items of an output are to be dropped."""
        return self._to_drop.get(output, 0)

    @property
    def left_to_drop(self) -> dict[str, int]:
        """Output name → how many more items are to be dropped; only outputs with some."""
        return {output: count for output, count in self._to_drop.items() if count}

    @property
    def sent_in_total(self) -> dict[str, int]:
        """Output name → items that the current calls have sent, in this or an earlier attempt."""
        sent = self.sent or {}
        return {output: count + self.dropping(output) for output, count in sent.items()}

    @property
    def call_offset(self) -> CallOffset | None:
        """How far the calls have come, or had come in the lost attempt that came further."""
        return None

    @property
    def next_call_offset(self) -> CallOffset | None:
        """The `call_offset` of `begin` relative to the next call; None once it is reached."""
        return None


class SeekingCounter(ReplayCounter):
    """Counts call by call, for a PE that resumes a call where it was cut off.

    What such a call had sent is not dropped: the PE gets the numbers, and writes the rest.
    """

    def __init__(self, outputs: Iterable[str]) -> None:
        super().__init__(outputs)
        self._resume_at: CallOffset | None = None
        self._calls = 0
        self._sent_at_begin: dict[str, int] | None = None

    def begin(
        self, sent_before: Mapping[str, int] | None = None, call_offset: CallOffset | None = None
    ) -> None:
        super().begin(sent_before)
        self._resume_at = call_offset
        self._calls = 0

    def begin_call(self, written: Mapping[str, list[Any]]) -> dict[str, int]:
        """Begin a call.

        Args:
            written: output name → items that earlier calls wrote and that were not sent yet.

        Returns:
            Output name → items that the call had sent before it was repeated; they count as sent.
        """
        sent_before = dict.fromkeys(self._outputs, 0)
        if self.sent is None:
            return sent_before
        self._sent_at_begin = {
            output: count + len(written[output]) for output, count in self.sent.items()
        }
        if self._resume_at is not None and self._resume_at.calls == self._calls:
            sent_before.update(self._resume_at.sent)
            self._resume_at = None
            for output, count in sent_before.items():
                self.sent[output] += count
                self._to_drop[output] = max(0, self.dropping(output) - count)
        self._calls += 1
        return sent_before

    def end_call(self) -> None:
        """End the current call; nothing happens if there is none."""
        self._sent_at_begin = None

    @property
    def call_offset(self) -> CallOffset | None:
        if self._resume_at is not None:
            return self._resume_at
        if self._sent_at_begin is None or self.sent is None:
            return CallOffset(self._calls)
        before = self._sent_at_begin
        sent = {output: count - before[output] for output, count in self.sent.items()}
        return CallOffset(self._calls - 1, tuple(sent.items()))

    @property
    def next_call_offset(self) -> CallOffset | None:
        if self._resume_at is None:
            return None
        return CallOffset(self._resume_at.calls - self._calls, self._resume_at.sent)
