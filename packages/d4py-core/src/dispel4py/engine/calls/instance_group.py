"""`InstanceGroup`: the instances of a PE in one process, called in the order of the items.

So results keep their order on `simple` whichever instance an item goes to.  One loop calls them
all, each with its own items; only instances that need more of a call, such as those that draw
random numbers, are called by their runners, with one run of items at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dispel4py.engine.calls.group_loop import GroupLoop
from dispel4py.engine.calls.replay import ReplayCounter
from dispel4py.engine.items.assigned_items import AssignedItems

if TYPE_CHECKING:
    from dispel4py.engine.calls.runner import Runner


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
        self._clock = runners[0].clock
        for runner in runners:
            runner.group = self

    def process(self, input_name: str | None, batch: AssignedItems) -> float:
        """Call instances with their items, one after the other; see `Runner.process`."""
        calls = batch.counts(len(self.runners))
        if len(calls) > 1 and all(self.runners[i].can_take_turns for i in calls):
            return self._process_in_turn(input_name, batch, calls)
        seconds = 0.0
        for instance, items in batch.runs():
            seconds += self.runners[instance].process(input_name, items)
        return seconds

    def _process_in_turn(
        self, input_name: str | None, batch: AssignedItems, calls: Mapping[int, int]
    ) -> float:
        """Call instances in one loop; the time is shared out by their numbers of calls."""
        runners = [self.runners[i] for i in calls]
        started_at = self._clock()
        loop = GroupLoop({runner.instance: runner.begin_turns(started_at) for runner in runners})
        call_each = loop.call_directly if loop.is_direct else loop.call
        items, instances = iter(batch.items), iter(batch.instances)
        with runners[0].calling():
            while not runners[0].isolated(call_each, input_name, items, instances):
                pass  # an item was skipped; continue with the next
        seconds = self._clock() - started_at
        seconds -= sum(runner.take_nested_seconds() for runner in runners)
        for runner in runners:
            count = calls[runner.instance]
            runner.end_turns(count, seconds * count / len(batch))
        return seconds
