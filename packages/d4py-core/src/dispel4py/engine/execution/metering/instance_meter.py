"""`InstanceMeter`: what one instance has done so far, read off its runner and its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

from dispel4py.engine.calls.runner import Runner
from dispel4py.engine.execution.metering.reports import Blocked, InstanceActivity, SlowestCall
from dispel4py.engine.execution.outlets import Output


class SlowCall(NamedTuple):
    """A call, or batch of calls, that is among the slowest of an instance so far."""

    instance: int
    ended_at: float
    seconds: float
    item: str
    calls: int


class InstanceMeter:
    """Counts of one instance, over all its runners in this process.

    Args:
        pe: number of the PE.
        pe_id: its id.
        instance: number of the instance.

    Attributes:
        runner: calls the instance now; None if none does.
        failures: calls that failed.
    """

    def __init__(self, pe: int, pe_id: str, instance: int) -> None:
        self.pe, self.pe_id, self.instance = pe, pe_id, instance
        self.runner: Runner | None = None
        self.failures = 0
        self._is_first = True
        self._outputs: Sequence[Output] = ()
        self._before: InstanceActivity | None = None
        self._slowest: list[SlowCall] = []

    def begin(self, runner: Runner, outputs: Sequence[Output], *, is_first: bool) -> None:
        """Count what a runner does, from now on.

        Args:
            runner: the runner.
            outputs: its outputs.
            is_first: it is the first of those with the same outputs and monitor; else both are
                counted for that one.
        """
        self.runner, self._is_first = runner, is_first
        self._outputs = outputs if is_first else ()

    def end(self) -> None:
        """Take note that the runner was closed."""
        self._before = self.activity(0.0, {})
        self.runner, self._outputs = None, ()

    @property
    def is_in_call(self) -> bool:
        """Whether the instance, or one that is counted for it, is in a call."""
        runner = self.runner
        return runner is not None and self._is_first and runner.monitor.caller != 0

    def is_slow(self, seconds: float, most: int) -> bool:
        """Return whether a call is one of the slowest so far, of which `most` are kept."""
        return len(self._slowest) < most or seconds > self._slowest[-1].seconds

    def add_slow(self, call: SlowCall, most: int) -> None:
        """Keep a slow call, and no more than `most` in all."""
        self._slowest.append(call)
        self._slowest.sort(key=attrgetter("seconds"), reverse=True)
        del self._slowest[most:]

    def slow_since(self, then: float, now: float) -> list[SlowestCall]:
        """Return those of the slowest calls that ended after a time."""
        return [
            SlowestCall(
                *(self.pe_id, call.instance, now - call.ended_at + call.seconds),
                *(call.seconds, call.item, call.calls),
            )
            for call in self._slowest
            if call.ended_at > then
        ]

    def activity(self, now: float, blocked: Blocked) -> InstanceActivity:
        """Return what the instance has done so far."""
        calls, seconds, items, sizes = 0, 0.0, {}, {}
        if self._before is not None:
            calls, seconds = self._before.calls, self._before.seconds
            items, sizes = {**self._before.items_out}, {**self._before.bytes_out}
        runner, in_call = self.runner, None
        if runner is not None:
            calls += runner.stats.items
            seconds += runner.stats.seconds
            if self.is_in_call:
                in_call = now - runner.called_at
        for output in self._outputs:
            if output.sent:
                items[output.name] = items.get(output.name, 0) + output.sent
            if output.sent_bytes:
                sizes[output.name] = sizes.get(output.name, 0) + output.sent_bytes
        return InstanceActivity(
            *(self.pe_id, self.instance, calls, items, seconds, sizes, self.failures),
            *(in_call, blocked.get(self.pe), runner is None),
        )
