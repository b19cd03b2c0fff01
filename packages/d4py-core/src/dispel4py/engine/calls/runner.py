"""`Runner`: takes one instance of a PE through its life cycle.

It calls the PE with batches of items, gathers what the PE writes per output, and turns an exception
into a `ProcessingError` that names the PE, the instance and the item.  No other code calls a PE.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context
from functools import partial
from typing import Any, TypeVar

from dispel4py.checks.failure_advice import failure_advice
from dispel4py.core import GenericPE
from dispel4py.engine.calls.batch_calls import BatchCalls
from dispel4py.engine.calls.batch_progress import BatchProgress
from dispel4py.engine.calls.batch_writer import BatchWriter
from dispel4py.engine.calls.call_loop import SEVERAL, CallLoop
from dispel4py.engine.calls.call_monitor import CallMonitor
from dispel4py.engine.calls.detaching import detach_closed, detach_in_children
from dispel4py.engine.calls.forked_children import end_child
from dispel4py.engine.calls.instance_group import InstanceGroup
from dispel4py.engine.calls.instance_watch import InstanceWatch
from dispel4py.engine.calls.pe_writer import PEWriter
from dispel4py.engine.calls.replay import CallOffset, ReplayCounter, SeekingCounter
from dispel4py.engine.calls.runner_options import OnWritten, RunnerOptions
from dispel4py.engine.calls.unsent_items import name_output
from dispel4py.engine.items.copying import CountingCopier, counting
from dispel4py.engine.items.immutable_types import add_imported_types
from dispel4py.engine.items.item_ids import InstanceSnapshot
from dispel4py.engine.items.sizes import ByteCounter
from dispel4py.engine.planning.pe_copies import copy_pe
from dispel4py.engine.planning.plan import PlannedPE
from dispel4py.engine.random_streams import InstanceStream, StreamState
from dispel4py.errors import ItemError, ProcessingError, UndeclaredStateError
from dispel4py.exceptions.unwinding import reraise_foreign
from dispel4py.files.reachable_files import close_or_flush
from dispel4py.processes.contexts import event_loop, new_context, running_loop
from dispel4py.result import InstanceStats

Result = TypeVar("Result")

#: Steps of a batch whose progress is recorded; and items of a step where items are fastest.
_STEPS, _STEP_ITEMS = 100, 256


class Runner:
    """Runs one instance of a PE.

    Args:
        planned: the PE in the plan; the runner works on a copy of its PE.
        instance: number of the instance.
        on_written: see `OnWritten`.
        options: options that all instances of the process have in common.
        first: another instance with the same monitor and lists of written items; None makes new
            ones.
        restored: the state of an instance, preprocessed already, as another process has left it, or
            as `snapshot` has returned it; None makes a copy of the plan's PE.
        copier: copies what the PE writes; None for the copier of the options.

    Attributes:
        written: output name → list of written items; it is emptied in place.
        counters: output name → counter of the bytes of those items.
        replay: counts what is sent, once the instance is tracked.
        stats: calls and seconds so far.
        slice: how many items to process at a time; the executor adapts it.
        group: the group of the instance, if there is one.
        progress: records the progress of a batch; None if no other thread may split it.
        monitor: decides which thread may run the engine in the middle of a call.
        can_be_entered: another thread may run the engine during a call; see `EnteredExecutor`.
        is_forked: the process is a child that the PE has forked.
        called_at: when the last batch of calls began.
        clock: returns the time in seconds.

    Raises:
        GraphError: the PE cannot be copied.
    """

    def __init__(
        self,
        planned: PlannedPE,
        instance: int,
        on_written: OnWritten,
        options: RunnerOptions = RunnerOptions(),
        *,
        first: Runner | None = None,
        restored: GenericPE | InstanceSnapshot | None = None,
        copier: CountingCopier | None = None,
    ) -> None:
        self.planned = planned
        self.instance = instance
        if first is None:
            self.written = self._make_lists()
            self.counters = {name: ByteCounter() for name in planned.routes}
        else:
            self.written, self.counters = first.written, first.counters
        self.replay = (SeekingCounter if planned.seeks else ReplayCounter)(self.written)
        self.stats = InstanceStats(planned.id, options.rank)
        self.slice = 1
        self.group: InstanceGroup | None = None
        self.progress: BatchProgress | None = None
        self.can_be_entered = False
        self.is_forked = False
        self.called_at = 0.0
        self._on_written = on_written
        self._on_error = options.on_error
        self._limits = options.limits
        self.clock = options.clock
        self._nested_seconds = 0.0
        if first is None:
            flush = options.on_thread_written
            self.monitor = CallMonitor(
                None if flush is None else partial(flush, self), options.on_stuck, options.limits
            )
        else:
            self.monitor = first.monitor
            self.monitor.instances += 1
        add_imported_types()  # the program of the PE has imported its modules
        self._is_preprocessed = restored is not None
        self._origin = planned.name_of(instance, options.rank)
        state: StreamState | None = None
        if isinstance(restored, InstanceSnapshot):
            restored, _, self._origin, state = restored
        self._stream = InstanceStream(options.seed, self._origin, state)
        self._watch = InstanceWatch(planned, self.stats, strict=options.strict)
        self._copier = copier or counting(options.copier)
        make_writer = PEWriter if planned.batch is None else BatchWriter
        self._writer = make_writer(
            planned,
            self.written,
            self.counters,
            self._copier,
            self.monitor,
            self.replay,
            options,
            self._send_written,
        )
        self._loop: CallLoop | None = None
        self._batches: BatchCalls | None = None
        self._options = options
        context = new_context(options.context) if first is None else first._context
        self._context: Context = context
        self.pe = pe = copy_pe(planned) if restored is None else restored
        pe.id = planned.id
        pe.rank = options.rank
        pe._run_writer = self._writer.write
        pe._run_log = None if options.lines is None else self._writer.log
        detach_in_children(self)

    def _make_lists(self) -> dict[str, list[Any]]:
        """Return an empty list per output for written items."""
        return {name: [] for name in self.planned.routes}

    # The life cycle.

    def preprocess(self) -> None:
        """Call the PE's `preprocess`: once, before anything else.

        Raises:
            ProcessingError: the PE raised; there is no item to skip, so this always ends the run.
        """
        started_at = self._writer.sent_at = self.called_at = self.clock()
        try:
            if not self._is_preprocessed and self.planned.has_preprocess:
                self._stream.activate()
                with self.calling():
                    self.isolated(self.pe.preprocess)
                self._stream.record()
        except BaseException as error:
            raise self._error(error, "preprocess") from error
        self._add_seconds(started_at)
        self._watch.begin(self.pe)
        max_bytes = self._limits.max_batch_bytes if self._limits.batch_items > 1 else sys.maxsize
        self._loop = CallLoop(
            self.planned,
            self.pe,
            self.written,
            self.counters,
            self._copier,
            max_bytes,
            self.fail_in_call,
            self.send_large,
        )
        if isinstance(self._writer, BatchWriter):
            self._batches = BatchCalls(self, self._writer, self._copier, max_bytes, self._options)
            self.slice = self._batches.size
        if any(self.written.values()):  # these precede the output of the first item
            self._on_written(self)

    def process(self, input_name: str | None, items: list[Any]) -> float:
        """Call the PE once per item.

        Args:
            input_name: name of the input; None for a root, whose items are the dicts that it is
                called with.
            items: the items; `BatchProgress.split` removes some.

        Returns:
            Seconds spent in the PE.

        Raises:
            ProcessingError: the PE raised, and `on_error` raises.
            UndeclaredStateError: the PE has undeclared state, and the run is strict.
        """
        stream = self._stream
        if stream.is_needed:
            stream.activate()
        started_at = self._writer.sent_at = self.called_at = self.clock()
        monitor = self.monitor  # as in `calling`, inlined
        monitor.caller = get_ident()
        if monitor.is_shared:
            self._writer.check_late()
            monitor.begin()
        try:
            self.isolated(self._call_all, input_name, items)
            if self.is_forked:
                end_child()
        except KeyboardInterrupt:
            monitor.abandon()
            raise
        finally:
            monitor.caller = 0
            if monitor.is_shared:
                monitor.wait_for_exit()
        seconds = self.clock() - started_at
        if self._nested_seconds:
            seconds -= self._nested_seconds
            self._nested_seconds = 0.0
        stats = self.stats
        stats.items += len(items)
        stats.seconds += seconds
        if stream.is_needed and not stream.has_drawn:
            stream.check_batch(seconds)
        if stats.items >= self._watch.next_check:
            self._watch.check_state()
        return seconds

    def _call_all(self, input_name: str | None, items: list[Any]) -> None:
        """Call the PE with each item, or with batches of them."""
        loop, batches = self._loop, self._batches
        if batches is not None:
            batches.call(input_name, items)
            self.slice = batches.size
            return
        assert loop is not None
        call_each = loop.call_directly if loop.is_direct else loop.call
        remaining = self.each(input_name, items)
        if self.progress is None:
            while not call_each(input_name, remaining):
                pass  # an item was skipped; continue with the next
            return
        self.progress.begin(items, remaining)
        for step in self.progress.steps(self._step_items):
            while not call_each(input_name, step):
                pass
            if self.is_forked:
                end_child()

    @property
    def can_take_turns(self) -> bool:
        """Whether calls need no preparation, so that one loop may call other instances, too."""
        is_plain = type(self) is Runner and self._batches is None and self.progress is None
        return is_plain and not self._stream.is_needed

    def begin_turns(self, started_at: float) -> CallLoop:
        """Begin to be called in turn with others, by an `InstanceGroup`; return the loop."""
        self._writer.sent_at = self.called_at = started_at
        assert self._loop is not None
        return self._loop

    def take_nested_seconds(self) -> float:
        """Return the seconds of those turns in which what the PE had written was processed."""
        seconds, self._nested_seconds = self._nested_seconds, 0.0
        return seconds

    def end_turns(self, calls: int, seconds: float) -> None:
        """Count calls that were made in turn; see `process` for what is raised."""
        self.stats.items += calls
        self.stats.seconds += seconds
        if self.stats.items >= self._watch.next_check:
            self._watch.check_state()

    def postprocess(self) -> None:
        """Call the PE's `postprocess`: once, after everything else.

        Raises:
            ProcessingError: the PE raised, and `on_error` raises.
            UndeclaredStateError: the PE has undeclared state, and the run is strict.
        """
        self._watch.check_last_state()
        if self.planned.is_watched:
            self._watch.note_files(self.pe)
        if self.planned.has_postprocess:
            self._stream.is_needed = True
            self._stream.activate()
        self._writer.check_late()
        started_at = self._writer.sent_at = self.called_at = self.clock()
        try:
            with self.calling():
                try:
                    self.isolated(self.pe.postprocess)
                finally:
                    self._writer.is_complete = True
        except BaseException as error:
            self._on_error(self._error(error, "postprocess"), None)
        self._add_seconds(started_at)

    def skip(self, item: Any, sent: Mapping[str, int]) -> None:
        """Skip an item with which the PE is not called again.

        Args:
            item: the item, as it was received.
            sent: output name → items that the call had sent when it was lost.
        """

    def close(self) -> None:
        """Release the PE: once, when its instance is done, abandoned or moved elsewhere.

        Then nothing of the run refers to the PE, nor the PE to the run, so that Python frees the PE
        at once; buffered data of files that it has left open is written before.

        Raises:
            ProcessingError: that failed, and `on_error` raises.
        """
        with suppress(UndeclaredStateError):  # it is reported in `stats`
            self._watch.check_last_state()
        self._loop = self._batches = None
        if self.progress is not None:
            self.progress.clear()
        files = self._watch.note_files(self.pe)
        detach_closed(self.pe, self.planned.id)
        self.monitor.close()
        del self.pe
        try:
            close_or_flush(files)
        except Exception as error:
            self._on_error(self._error(error, "postprocess"), None)
        self._writer.check_late()

    # Repeated calls, and moves to other processes.

    def note_sent(self) -> None:
        """Note that what the current call had written was sent, before the call is complete."""
        self._writer.note_sent()

    def track(
        self,
        sent_before: Mapping[str, int] | None = None,
        call_offset: CallOffset | None = None,
    ) -> None:
        """Count what is sent from now on; see `ReplayCounter.begin`."""
        self._writer.is_unrepeatable = self.is_unrepeatable and self.monitor.caller != 0
        self.replay.begin(sent_before, call_offset)

    @property
    def sent_at(self) -> float:
        """When a call began, or what it had written was sent."""
        return self._writer.sent_at

    @property
    def is_unrepeatable(self) -> bool:
        """Whether a repeated call may write in another order than was sent since `track`."""
        return self._writer.is_unrepeatable

    @property
    def roots_to_pause(self) -> tuple[int, ...]:
        """Numbers of roots of which too many early items wait here."""
        return ()

    def snapshot(self, dumps: Callable[[Any], bytes]) -> bytes:
        """Return the state of the instance, between two calls.

        Args:
            dumps: makes bytes of it.
        """
        return dumps(self._state())

    def _state(self) -> GenericPE | InstanceSnapshot:
        """Return what moves to another process: the PE, with its name if the run depends on it."""
        if not (self._stream.record() or self.planned.replicated):
            return self.pe
        return InstanceSnapshot(self.pe, 0, self._origin, self._stream.state)

    # Calls.

    @property
    def _step_items(self) -> int:
        """Items between two records of the progress: few unless items are quick."""
        is_quick = self.slice >= self._limits.batch_items
        return _STEP_ITEMS if is_quick else max(1, self.slice // _STEPS)

    def enable_split(self) -> None:
        """Allow another thread, which enters the monitor, to split the current batch."""
        self.progress = BatchProgress(self.written)

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Call the PE in the block: threads of the PE may write, and others enter the engine."""
        monitor = self.monitor
        monitor.caller = get_ident()
        if monitor.is_shared:
            self._writer.check_late()
            monitor.begin()
        try:
            yield
            if self.is_forked:
                end_child()
        except BaseException as error:
            if self.is_forked:
                end_child(error)
            if isinstance(error, KeyboardInterrupt):
                monitor.abandon()
            raise
        finally:
            monitor.caller = 0
            if monitor.is_shared:
                monitor.wait_for_exit()

    def isolated(self, call: Callable[..., Result], *args: Any) -> Result:
        """Call code of the PE in the context of the instance, where no event loop is running.

        So what a PE sets by context variables, as `decimal.localcontext()` does, is its own, and it
        can use `asyncio.run()` in a notebook and where another PE does.
        """
        if running_loop() is None:
            return self._context.run(call, *args)
        with event_loop(None):
            return self._context.run(call, *args)

    def each(self, input_name: str | None, items: Sequence[Any]) -> Iterator[Any]:
        """Return an iterator over what the PE is called with."""
        return iter(items)

    def data_of(self, input_name: str | None, items: Sequence[Any]) -> list[Any]:
        """Return a list of what the PE is called with, for a call with all at once."""
        return list(items)

    def send_large(self) -> None:
        """Send output between two calls, since it is larger than was planned for a batch."""
        if self.is_forked:
            end_child()
        planned = self.group or self
        planned.slice = max(1, planned.slice // 2)
        self._send_written()

    def _send_written(self) -> None:
        """Send what was written, in the middle of a batch.

        What code that the engine runs has written, such as an item's `__del__`, waits.
        """
        if self.monitor.in_engine:
            return
        started_at = self.clock()
        self.monitor.enter()
        try:
            self._on_written(self)
        finally:
            self.monitor.leave()
        if self._stream.is_needed:
            self._stream.activate()
        self._writer.sent_at = sent_at = self.clock()
        self._nested_seconds += sent_at - started_at

    def _add_seconds(self, started_at: float) -> None:
        seconds = self.clock() - started_at - self._nested_seconds
        self._nested_seconds = 0.0
        self.stats.seconds += seconds

    # Errors.

    def fail_in_call(self, error: BaseException, item: Any) -> None:
        """Handle an exception that a call of the PE with an item has raised."""
        if self.is_forked:
            end_child(error)
        self.monitor.enter()
        try:
            self.fail(error, item)
        finally:
            self.monitor.leave()

    def fail(self, error: BaseException, item: Any) -> None:
        """Pass an exception that belongs to an item of this instance to `on_error`."""
        output: Any = SEVERAL if self._loop is None else self._loop.output
        if type(error) is ItemError and error.output is None and output is not SEVERAL:
            error = name_output(self.planned, output, error)
        self._on_error(self._error(error, "process", item), item)

    def _error(self, error: BaseException, phase: str, item: Any = None) -> ProcessingError:
        reraise_foreign(error)
        advice = ""
        if phase == "process":
            advice = failure_advice(error, self.pe, item, is_root=self.planned.is_root)
        return ProcessingError.of(error, self.planned.id, self.instance, phase, item, advice=advice)
