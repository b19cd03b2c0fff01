"""`ObserverQueue`: calls one observer in a thread of its own, so that it cannot slow the run.

Reports are cumulative, so a newer one replaces one that waits; all other events come in order.

An observer with a true attribute `needs_all_events`, such as a log, slows the run a little rather
than miss an event, and waits itself for what comes after the run's end.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable

from dispel4py.errors import shorten
from dispel4py.events import (
    Event,
    Failure,
    InstanceReport,
    Message,
    Observer,
    QueueReport,
    Scaled,
    SlowCall,
)
from dispel4py.logs import RUN_LOG
from dispel4py.observing.limits import ObserverLimits
from dispel4py.processes.user_code_thread import UserCodeThread

#: What may be left out where too much waits.
_MINOR = (Message, Scaled, SlowCall)


class ObserverQueue:
    """Events that wait for an observer.

    Args:
        observer: the observer.
        limits: how many events may wait.
    """

    def __init__(self, observer: Observer, limits: ObserverLimits) -> None:
        self._observer = observer
        self._needs_all = getattr(observer, "needs_all_events", False)
        self._limits = limits
        self._changed = threading.Condition()
        self._waiting: dict[Hashable, Event] = {}
        self._number = self._left_out = 0
        self._is_closed = False
        self._thread = UserCodeThread(target=self._run, name="d4py-observer", daemon=True)

    def put(self, event: Event) -> None:
        """Add an event; any thread may call this."""
        with self._changed:
            key = _key_of(event)
            if key is None:
                if isinstance(event, _MINOR) and not (self._has_space() or self._wait_for_space()):
                    self._left_out += 1
                    return
                key = self._number = self._number + 1
            self._waiting.pop(key, None)
            self._waiting[key] = event
            self._changed.notify()

    def _has_space(self) -> bool:
        return len(self._waiting) < self._limits.waiting_events

    def _wait_for_space(self) -> bool:
        """Wait a while if the observer needs all events; return whether there is space."""
        if not self._needs_all or self._left_out or not self._thread.is_alive():
            return False
        if self._thread is threading.current_thread():  # it has logged something itself
            return False
        return self._changed.wait_for(self._has_space, self._limits.wait_seconds)

    def start(self) -> None:
        """Start to call the observer."""
        self._thread.start()

    def close(self) -> None:
        """Call the observer with what still waits, as long as it is not too slow."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if not self._thread.ident:  # the run has failed before it began
            return
        self._thread.join(self._limits.end_seconds)
        if self._thread.is_alive() and not self._needs_all:
            RUN_LOG.warning(
                "the observer %s is slow: the run has ended without waiting for it longer",
                shorten(self._observer),
            )

    def _run(self) -> None:
        while events := self._take():
            for event in events:
                try:
                    self._observer.on_event(event)
                except Exception as error:  # an observer must not end the run
                    RUN_LOG.warning(
                        "the observer %s failed, and gets no more events of this run: %s: %s",
                        *(shorten(self._observer), type(error).__name__, error),
                        exc_info=error,
                    )
                    return

    def _take(self) -> list[Event]:
        """Wait for events, and return them; none once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            events = [*self._waiting.values()]
            self._waiting.clear()
            self._changed.notify_all()
            if self._left_out:
                text = f"{self._left_out} events were left out, as this observer is slow"
                events.append(Message(events[-1].time, "WARNING", text))
                self._left_out = 0
            return events


def _key_of(event: Event) -> Hashable:
    """Return what events have in common that replace each other; None for all others."""
    match event:
        case InstanceReport(_, worker, pe, instance):
            return InstanceReport, worker, pe, instance
        case QueueReport(_, pe, _, _, worker):
            return QueueReport, pe, worker
        case Failure(_, pe, _, phase, exception_type):
            return Failure, pe, phase, exception_type
        case _:
            return None
