"""`PEWriter`: what a PE writes and logs during its calls, from any thread."""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable
from typing import Any

from dispel4py.checks.outputs import unknown_output_error
from dispel4py.engine.calls.call_loop import copy_written
from dispel4py.engine.calls.call_monitor import CallMonitor
from dispel4py.engine.calls.detaching import write_too_late
from dispel4py.engine.calls.replay import ReplayCounter
from dispel4py.engine.calls.runner_options import RunnerOptions
from dispel4py.engine.calls.unsent_items import name_output
from dispel4py.engine.items.copying import CountingCopier
from dispel4py.engine.items.immutable_types import SMALL
from dispel4py.engine.items.sizes import ByteCounter
from dispel4py.engine.planning.plan import PlannedPE
from dispel4py.errors import ItemError, RunError


class _Detached:
    """Stands for a writer in the pickle of its PE."""

    write = log = None


class PEWriter:
    """Appends the items that a PE writes, and the lines that it logs.

    Args:
        planned: the PE in the plan.
        written: output name → list of written items.
        counters: output name → counter of the bytes of those items.
        copier: copies an item.
        monitor: the monitor of the instance.
        replay: counts what the instance has sent.
        options: options of the runner.
        send: sends what was written, in the middle of a call.

    Attributes:
        sent_at: time when a call began, or what it had written was sent.
        is_complete: `postprocess` has ended, so nothing can be written any more.
        is_unrepeatable: a repeated call may write in another order: threads of the PE have
            written, or a call with several items, of which a part was sent.
    """

    def __init__(
        self,
        planned: PlannedPE,
        written: dict[str, list[Any]],
        counters: dict[str, ByteCounter],
        copier: CountingCopier,
        monitor: CallMonitor,
        replay: ReplayCounter,
        options: RunnerOptions,
        send: Callable[[], None],
    ) -> None:
        self._planned = planned
        self._written = written
        self._counters = counters
        self._copier = copier
        self._monitor = monitor
        self._replay = replay
        self._lines = options.lines
        limits = options.limits
        self._thread_items = limits.thread_items
        self._batch_items = min(limits.batch_items, limits.written_items)
        self._batch_bytes = limits.batch_bytes
        self._linger = limits.linger_seconds
        self._clock = options.clock
        self._send = send
        self._leased = options.leased
        self._late = ""
        self.sent_at = 0.0
        self.is_complete = False
        self.is_unrepeatable = False

    def __reduce__(self) -> tuple[type[_Detached], tuple[()]]:
        """Pickle as nothing: a `__getstate__` of a PE may include its writer.

        So a PE need not be detached to be pickled, while a thread of the PE may be writing.
        """
        return _Detached, ()

    def write(self, name: str, data: Any) -> None:
        """Append an item to an output."""
        if get_ident() != self._monitor.caller:
            self._write_from_thread(name, data)
            return
        items = self._written.get(name)
        if items is None:
            raise unknown_output_error(self._planned.id, [*self._written], name, None)
        counter = self._counters[name]
        items.append(data if type(data) in SMALL else self._copied(name, data, counter))
        if (
            len(items) >= self._batch_items
            or counter.bytes >= self._batch_bytes
            or self._clock() - self.sent_at >= self._linger
        ):
            self._send()

    def note_sent(self) -> None:
        """Note that what the current call had written was sent, before the call is complete."""

    def log(self, pe_id: str, rank: int, message: str) -> None:
        """Queue a line, and send it if the PE's code has logged it.

        One from a thread of the PE is sent by the engine's flush thread; one from code that the
        engine runs, such as an item's `__getitem__` or `__del__`, with those of the next batch.
        """
        assert self._lines is not None
        self._lines.put(pe_id, rank, message)
        monitor = self._monitor
        if get_ident() == monitor.caller:
            if monitor.in_engine:
                return
            monitor.enter()
            try:
                self._lines.flush()
            finally:
                monitor.leave()
            return
        monitor.is_shared = True
        with monitor.changed:
            monitor.request_flush()

    def check_late(self) -> None:
        """Check that no thread has written where the item could not be stored.

        Raises:
            RunError: a thread has.
        """
        if self._late:
            self._monitor.caller = 0
            raise RunError(self._late)

    def _copied(self, name: str, data: Any, counter: ByteCounter) -> Any:
        """Return an item as it is stored; an error names the output."""
        try:
            return copy_written(data, self._copier, counter)
        except ItemError as error:
            raise name_output(self._planned, name, error) from error.__cause__

    def _write_from_thread(self, name: str, data: Any) -> None:
        """Append an item from a thread of the PE; block while too many items wait to be sent.

        An item that is appended during a call belongs to the call.
        """
        if name not in self._written:
            raise unknown_output_error(self._planned.id, [*self._written], name, None)
        monitor, items, counter = self._monitor, self._written[name], self._counters[name]
        if monitor.has_failed:
            raise SystemExit  # the only exception that ends a thread without a traceback
        monitor.is_shared = True  # before checking whether there is a call; see `CallMonitor`
        size = ByteCounter()
        data = self._copied(name, data, size)
        with monitor.changed:
            self._refuse_late(name)
            items.append(data)
            counter.bytes += size.bytes
            self.is_unrepeatable = True
            flush = monitor.request_flush()
            monitor.wait_for_space(
                flush,
                lambda: len(items) < self._thread_items and counter.bytes < self._batch_bytes,
            )

    def _refuse_late(self, name: str) -> None:
        """Refuse an item of a thread at a time when it cannot be stored."""
        if self.is_complete:
            write_too_late(self._planned.id, name, None)
        if not self._leased:
            return
        if not self._monitor.caller:
            self._late = (
                f"{self._planned.id} wrote to output {name!r} from a thread while it was not"
                " called; what a call writes is complete when it returns, so wait for the thread"
                " before that"
            )
        elif self._replay.dropping(name) > len(self._written[name]):
            self._late = (
                f"{self._planned.id} was in the middle of a call when its worker was lost; it"
                " writes from threads, so what that call had sent already cannot be told from the"
                " rest"
            )
        if self._late:
            raise RunError(self._late)
