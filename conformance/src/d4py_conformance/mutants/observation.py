"""Mappings whose observers get nothing, or something wrong."""

from __future__ import annotations

from typing import Any

from d4py_conformance.mutants.sound import Sound
from dispel4py.engine.execution.metering import InstanceActivity, Meter, MeterReport
from dispel4py.engine.run_events import RunEvents
from dispel4py.result import RunResult


class BeginsSilently(Sound):
    """Does not let observers know that a run has begun."""

    def begin(self, events: RunEvents, inputs: dict[int, Any], result: RunResult) -> None:
        """See `Sound`."""


class CountsNothing(Sound):
    """Has no meter, so that it never reports."""

    def meter(self, events: RunEvents) -> Meter | None:
        return None


class _Misreports(Sound):
    """Base of those that change what is reported."""

    def meter(self, events: RunEvents) -> Meter | None:
        if not events.is_observed:
            return None

        def send(report: MeterReport) -> None:
            instances = [self.changed(activity) for activity in report.instances]
            events.report(report._replace(instances=instances))

        return Meter(self.plan, 0, send)

    def changed(self, activity: InstanceActivity) -> InstanceActivity:
        """Return what is reported of an instance."""
        raise NotImplementedError


class ReportsTwice(_Misreports):
    """Counts each call as two."""

    def changed(self, activity: InstanceActivity) -> InstanceActivity:
        return activity._replace(calls=2 * activity.calls)


class ReportsNegativeSeconds(_Misreports):
    """Subtracts times the wrong way round."""

    def changed(self, activity: InstanceActivity) -> InstanceActivity:
        return activity._replace(seconds=-activity.seconds)


class LosesWrittenItems(_Misreports):
    """Does not count one of the items that were written."""

    def changed(self, activity: InstanceActivity) -> InstanceActivity:
        counts = {output: max(0, count - 1) for output, count in activity.items_out.items()}
        return activity._replace(items_out=counts)


class HidesCalls(_Misreports):
    """Reports a call only when it is over."""

    def changed(self, activity: InstanceActivity) -> InstanceActivity:
        return activity._replace(in_call=None)


class ReportsDifferences(_Misreports):
    """Reports what was done since the last time in place of all that was done."""

    reported: dict[tuple[str, int], int]

    def begin(self, events: RunEvents, inputs: dict[int, Any], result: RunResult) -> None:
        self.reported = {}
        super().begin(events, inputs, result)

    def changed(self, activity: InstanceActivity) -> InstanceActivity:
        at = activity.pe_id, activity.instance
        before, self.reported[at] = self.reported.get(at, 0), activity.calls
        return activity._replace(calls=activity.calls - before)


class DropsTheResultSoFar(Sound):
    """A run that fails hands out nothing of what it had."""

    def begin(self, events: RunEvents, inputs: dict[int, Any], result: RunResult) -> None:
        super().begin(events, inputs, RunResult({}, [], result.stats))
