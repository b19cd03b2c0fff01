"""`EventRecording`: keeps the events of a run, for `RunResult.events`."""

from __future__ import annotations

from collections.abc import Hashable

from dispel4py.events import Event, InstanceReport, QueueReport
from dispel4py.observing.limits import ObserverLimits


class EventRecording:
    """An observer that keeps events; of reports, which are cumulative, only some of a long run.

    Args:
        limits: how many reports are kept.
    """

    def __init__(self, limits: ObserverLimits = ObserverLimits()) -> None:
        self._most = limits.kept_reports
        self._events: list[Event] = []
        self._reports: dict[Hashable, list[Event]] = {}

    def on_event(self, event: Event) -> None:
        """Keep an event."""
        if isinstance(event, InstanceReport):
            self._keep((event.worker, event.pe, event.instance), event)
        elif isinstance(event, QueueReport):
            self._keep((event.worker, event.pe), event)
        else:
            self._events.append(event)

    def events(self) -> list[Event]:
        """Return the events in the order of their times."""
        kept = [*self._events, *(event for of in self._reports.values() for event in of)]
        return sorted(kept, key=lambda event: event.time)  # stable: RunStarted is the first

    def _keep(self, key: Hashable, event: Event) -> None:
        kept = self._reports.setdefault(key, [])
        kept.append(event)
        if len(kept) > self._most:
            del kept[1:-1:2]
