"""`Meter`: what the instances of a process have done so far, reported a few times a second.

Counting costs next to nothing: it is read off runners and outputs.  A thread has reports sent.  It
enters the engine, as the flush thread does, while the engine's own thread is in a PE's code
(`engine.calls.call_monitor`); else it requests a report, which the engine sends when it is through
with its batch.  Before the engine waits, it reports by itself.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any

from dispel4py.engine.calls.runner import Runner
from dispel4py.engine.execution.metering.instance_meter import InstanceMeter, SlowCall
from dispel4py.engine.execution.metering.reports import (
    Blocked,
    InstanceActivity,
    MeterReport,
    SendReport,
)
from dispel4py.engine.execution.outlets import Output, Receiver
from dispel4py.engine.items.assigned_items import AssignedItems
from dispel4py.engine.items.item_ids import Item
from dispel4py.engine.items.places import Placed
from dispel4py.engine.planning.plan import Plan
from dispel4py.errors import ProcessingError, shorten
from dispel4py.host import host_name

if TYPE_CHECKING:
    from dispel4py.engine.calls.runner_options import OnError

_NONE: Blocked = {}
#: Most characters of an item as text.
_ITEM_CHARACTERS = 100


class Meter:
    """Counts what the instances of a process do, and sends reports of it.

    All methods are called by a thread that runs the engine.

    Args:
        plan: the plan.
        worker: number of the process.
        send: sends a report.
        queues: returns the ids of PEs, each with how many items wait for it here.
        clock: returns the time in seconds; the same as that of the executor.

    Attributes:
        is_requested: `report` is to be called as soon as the engine can.
        slow_seconds: calls that take as long are given to `add_slow`.
    """

    def __init__(
        self,
        plan: Plan,
        worker: int,
        send: SendReport,
        queues: Callable[[], Iterable[tuple[str, int]]] = tuple,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.is_requested = False
        self.slow_seconds = plan.limits.slow_call_seconds
        self._plan = plan
        self._worker = worker
        self._send = send
        self._seconds = plan.limits.report_seconds
        self._most_slow = plan.limits.slow_calls
        self._queues = queues
        self._clock = clock
        self._instances: dict[tuple[int, int], InstanceMeter] = {}
        self._reported: dict[tuple[int, int], InstanceActivity] = {}
        self._reported_queues: dict[str, int] = {}
        self._reported_at = -inf
        self._blocked = _NONE
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    # For the executor.

    def begin_instance(self, runner: Runner, outputs: Sequence[Output], *, is_first: bool) -> None:
        """Count what an instance does, from now on; see `InstanceMeter.begin`."""
        at = runner.planned.index, runner.instance
        if at not in self._instances:
            self._instances[at] = InstanceMeter(at[0], runner.planned.id, runner.instance)
        self._instances[at].begin(runner, outputs, is_first=is_first)
        if self._thread is None:
            self.report()  # the process has begun
            self._thread = threading.Thread(target=self._watch, name="d4py-report", daemon=True)
            self._thread.start()

    def end_instance(self, runner: Runner) -> None:
        """Take note that an instance was closed."""
        self._instances[runner.planned.index, runner.instance].end()

    def add_slow(self, receiver: Receiver, batch: Any, seconds: float) -> None:
        """Take note of a slow call, or of a batch of calls that was slow.

        Args:
            receiver: the instance, or its group.
            batch: what it was called with.
            seconds: how long that took.
        """
        meter = self._instances[receiver.planned.index, receiver.instance]
        if not meter.is_slow(seconds, self._most_slow):
            return
        count, item, instance = len(batch), "", receiver.instance
        if count == 1:
            item = shorten(_first_of(batch), _ITEM_CHARACTERS)
            if isinstance(batch, AssignedItems):
                instance = batch.instances[0]
        call = SlowCall(instance, self._clock(), seconds, item, max(1, count))
        meter.add_slow(call, self._most_slow)

    def counting(self, on_error: OnError) -> OnError:
        """Return an `OnError` that counts failures as well."""

        def count(error: ProcessingError, item: Any) -> None:
            for meter in self._instances.values():
                if (meter.pe_id, meter.instance) == (error.pe_id, error.instance):
                    meter.failures += 1
            on_error(error, item)

        return count

    def report(self) -> None:
        """Report what has changed, if anything has."""
        self.is_requested = False
        now, since = self._clock(), self._reported_at
        self._reported_at = now
        instances = []
        for at, meter in self._instances.items():
            activity = meter.activity(now, self._blocked)
            noted = activity
            if activity.in_call is not None:  # noted by its begin
                noted = activity._replace(in_call=now - activity.in_call)
            if self._reported.get(at) != noted:
                self._reported[at] = noted
                instances.append(activity)
        waiting = dict(self._queues())
        queues = [
            (pe_id, count)
            for pe_id, count in {**dict.fromkeys(self._reported_queues, 0), **waiting}.items()
            if count != self._reported_queues.get(pe_id, 0)
        ]
        self._reported_queues = waiting
        slow = [call for meter in self._instances.values() for call in meter.slow_since(since, now)]
        if instances or queues or slow:
            host, pid = host_name(), os.getpid()
            self._send(MeterReport(self._worker, host, pid, instances, slow, queues))

    # For the mapping.

    def wait(self, behind: Iterable[int] = ()) -> float:
        """Report, if that is due, before the process waits.

        Args:
            behind: numbers of PEs that are behind, so that those that feed them wait.

        Returns:
            Seconds after which to call this again, unless there is something to do before.
        """
        self._blocked = {
            sender: self._plan.pes[pe].id for pe in behind for sender in self._plan.pes[pe].upstream
        }
        left = self._reported_at + self._seconds - self._clock()
        if left > 0 and not self.is_requested:
            return left
        self.report()
        return inf

    def finish(self) -> None:
        """Send the last report."""
        self.stop()
        self._blocked = _NONE
        self.report()

    def stop(self) -> None:
        """Report nothing more, since the run has failed."""
        self._stopped.set()
        if self._thread is not None and self._thread.is_alive():  # Ctrl-C may come as it starts
            self._thread.join()

    # The thread.

    def _watch(self) -> None:
        while not self._stopped.wait(self._seconds / 2):
            if self._clock() - self._reported_at >= self._seconds:
                self.is_requested = not self._report_in_call()

    def _report_in_call(self) -> bool:
        """Report in the middle of a call; return False if there is none."""
        for meter in [*self._instances.values()]:
            if (runner := meter.runner) is None or not meter.is_in_call:
                continue
            monitor = runner.monitor
            monitor.is_shared = True  # before the look at where its caller is
            with monitor.entered() as is_inside:
                if is_inside:
                    self._blocked = _NONE
                    self.report()
                    return True
        return False


def _first_of(batch: Any) -> Any:
    """Return the first item of a batch, as the PE gets it."""
    items = batch.items if isinstance(batch, AssignedItems) else batch
    item = items[0]
    return item.data if isinstance(item, Placed | Item) else item
