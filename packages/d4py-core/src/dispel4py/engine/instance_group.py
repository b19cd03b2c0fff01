"""`InstanceGroup`: the instances of a PE in one process, called in the order of the items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dispel4py.engine.replay import ReplayCounter

if TYPE_CHECKING:
    from dispel4py.engine.runner import Runner


class InstanceGroup:
    """All instances of a PE.

    Args:
        runners: the instances, by number; they share the lists of written items.

    Attributes:
        planned: the PE in the plan.
        written: see `Runner`.
        counters: see `Runner`.
        slice: see `Runner`.
    """

    instance = 0
    replay = ReplayCounter(())

    def __init__(self, runners: list[Runner]) -> None:
        self.runners = runners
        self.planned = runners[0].planned
        self.written = runners[0].written
        self.counters = runners[0].counters
        self.slice = 1 if self.planned.batch is None else self.planned.batch.size
        for runner in runners:
            runner.group = self

    def process(self, input_name: str | None, batches: Sequence[tuple[int, list[Any]]]) -> float:
        """Call instances with their items, one after the other; see `Runner.process`."""
        seconds = 0.0
        for instance, items in batches:
            seconds += self.runners[instance].process(input_name, items)
        return seconds
