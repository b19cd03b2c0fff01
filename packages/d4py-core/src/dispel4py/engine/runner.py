"""The PE runner: the only code that calls a PE.

A `Runner` owns one instance.  It takes batches of items, calls the PE through its life cycle,
gathers what is written per output, and turns an exception into a `ProcessingError` that knows PE,
instance and item.  PEs that leave `process` as `IterativePE`, `ProducerPE` or `ConsumerPE` define
it are called straight at `_process`, in a tight loop.
"""

from __future__ import annotations

import copy
import os
import sys
import weakref
from _thread import get_ident
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from math import inf
from operator import length_hint
from time import perf_counter
from types import ModuleType
from typing import Any, NamedTuple

from dispel4py.base import ConsumerPE, IterativePE, ProducerPE
from dispel4py.checks.outputs import no_outputs, unknown_output
from dispel4py.checks.undeclared_state import StateWatch, undeclared
from dispel4py.core import GenericPE
from dispel4py.engine.call_monitor import CallMonitor
from dispel4py.engine.copying import (
    IMMUTABLE,
    Copier,
    CountingCopier,
    cannot_carry,
    copy_item,
    counting,
)
from dispel4py.engine.forked_children import end_child, leave_loops
from dispel4py.engine.item_ids import InstanceSnapshot
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.log_lines import Log, LogLines
from dispel4py.engine.plan import Plan, PlannedPE
from dispel4py.engine.random_streams import Drawn, Stream
from dispel4py.engine.replay import CallOffset, ReplayCounter, SeekingCounter
from dispel4py.engine.sizes import SMALL_BYTES, ByteCounter
from dispel4py.engine.unique_arrays import is_unreachable
from dispel4py.engine.unsent_items import name_output
from dispel4py.errors import (
    GraphError,
    ItemError,
    ProcessingError,
    RunError,
    UndeclaredStateError,
    UnknownOutputError,
)
from dispel4py.exceptions.unwinding import let_pass
from dispel4py.files.held_files import finish_files, held_files, overwritten
from dispel4py.result import InstanceStats

#: A PE's `_process`, what takes what it returns, the copying of that, and what counts its bytes.
_DirectWay = tuple[Callable[[Any], Any], list[Any] | deque[Any], CountingCopier, ByteCounter]
#: Gets an error and the item; raises the error, or takes note of it and returns.
OnError = Callable[[ProcessingError, Any], None]
#: Called in the middle of a PE's call when what it wrote should go on its way.
OnWritten = Callable[["Runner"], None]
#: Called by a thread of the run's own, in the middle of a PE's call, to send on what threads of
#: the PE have written; returns whether something still waits to leave the process.
OnThreadWritten = Callable[["Runner"], bool]


_CallEach = Callable[[str | None, Iterator[Any]], bool]

#: What is no array, and most often met.
_CONTAINERS = frozenset({tuple, dict, list})
#: What cannot change and may be large all the same.
_TEXTS = frozenset({str, bytes})
#: What cannot change and is small.
_SMALL = IMMUTABLE - _TEXTS
#: Marks in a slice; and items between two of them where items are as quick as they can be.
_MARKS, _STEP = 100, 256
#: In so many batches an instance is watched for whether it draws random numbers, and in all that
#: take so many seconds, beside which the watching is nothing.
_WATCHED_BATCHES, _WATCHED_SECONDS = 3, 0.005


class Parts(NamedTuple):
    """A batch, taken apart in the middle of a call.

    Attributes:
        written: how many items of each output, in their order, are of calls that are done.
        in_hand: the items of other calls that were begun.
        not_begun: the rest.
    """

    written: list[int]
    in_hand: list[Any]
    not_begun: list[Any]


def raise_error(error: ProcessingError, item: Any) -> None:
    """The `OnError` of ``on_error="stop"``."""
    raise error


class ThreadUnwind(SystemExit):
    """Ends a thread of a PE that writes once the run has failed, without a word."""


class _Untied:
    """What stands for a runner in the pickle of its PE."""

    _write = _log = None


class Runner:
    """One instance of a PE.

    Args:
        planned: the PE in the plan; the runner works on a copy of its PE.
        instance: which of its instances this is.
        rank: number of the process.
        copier: copies a written item.
        on_error: what happens to an exception of the PE.
        on_written: see `OnWritten`.
        on_thread_written: see `OnThreadWritten`; None leaves it to the calling thread, and queues
            without a limit meanwhile.
        on_stuck: see `CallMonitor`.
        leased: its calls are settled as soon as they end, so between calls nothing can be written.
        log: see `Log`; None logs as the PE does outside a run.
        limits: how much output of a call is gathered before `on_written` is called.
        written: where written items are gathered, if together with another instance's.
        counters: what counts their bytes, likewise.
        restored: the PE as another process left it, preprocessed already; None makes a copy of
            the plan's.  Or what `snapshot` has kept.
        seed: see `dispel4py.engine.plan.Plan`.
        strict: raise at undeclared state, instead of telling by `stats`.

    Attributes:
        written: output name → items written; whoever takes them empties the list in place.
        counters: output name → how large those items are.
        replay: counts what is sent, once the instance is tracked.
        stats: calls and seconds so far.
        slice: how many items to process at a time; the executor adapts it.
        team: the team that it is in, if it is in one.
        batch: the batch in hand, or the last one; where there are marks.
        marks: note in the middle of a batch what is done of it, for `part`.
        monitor: says who may run the engine in the middle of a call.
        is_unrepeatable: threads of the PE have written since `track`, so a repeated call may write
            the same items in another order.

    Raises:
        GraphError: the PE cannot be copied.
    """

    def __init__(
        self,
        planned: PlannedPE,
        instance: int,
        on_written: OnWritten,
        *,
        rank: int = 0,
        copier: Copier = copy_item,
        on_error: OnError = raise_error,
        on_thread_written: OnThreadWritten | None = None,
        on_stuck: Callable[[int], None] = lambda caller: None,
        leased: bool = False,
        log: Log | LogLines | None = None,
        limits: EngineLimits = EngineLimits(),
        written: dict[str, list[Any]] | None = None,
        counters: dict[str, ByteCounter] | None = None,
        restored: GenericPE | InstanceSnapshot | None = None,
        seed: int = 0,
        strict: bool = False,
    ) -> None:
        self.planned = planned
        self.instance = instance
        self.written = {name: [] for name in planned.routes} if written is None else written
        if counters is None:
            counters = {name: ByteCounter() for name in planned.routes}
        self.counters = counters
        self.replay = (SeekingCounter if planned.seeks else ReplayCounter)(self.written)
        self.stats = InstanceStats(planned.id, rank)
        self.slice = 1
        self.team: InstanceGroup | None = None
        self._on_written = on_written
        self._on_error = on_error
        self.monitor = CallMonitor(
            None if on_thread_written is None else partial(on_thread_written, self),
            on_stuck,
            limits,
        )
        self.is_unrepeatable = False
        self._leased = leased
        self._is_complete = False
        self._late = ""
        self._copier = counting(copier)
        self._limits = limits
        self._batch_items, self._batch_bytes = limits.batch_items, limits.batch_bytes
        self._most_bytes = limits.max_batch_bytes if limits.batch_items > 1 else sys.maxsize
        self._linger = limits.linger_seconds
        self._sent_at = 0.0
        self._nested_seconds = 0.0
        self.marks = False
        self.batch: list[Any] = []
        self._to_come: Iterator[Any] = iter(())
        self._mark: tuple[int, list[int]] = 0, []
        self._is_prepared = restored is not None
        self._origin = planned.name_of(instance, rank)
        drawn: Drawn | None = None
        if isinstance(restored, InstanceSnapshot):
            restored, _, self._origin, drawn = restored
        self._stream = Stream(seed, self._origin, drawn)
        self._draws = drawn is not None
        self._takes = True
        self._is_forked = False
        self._batches = 0
        self._strict = strict
        self._watch: StateWatch | None = None
        self._next_look: float = inf
        self.pe = pe = _copy_pe(planned) if restored is None else restored
        pe.id = planned.id
        pe.rank = rank
        self._lines = log if isinstance(log, LogLines) else None if log is None else LogLines(log)
        pe._run_writer = self._write
        pe._run_log = None if log is None else self._log
        self._direct: _DirectWay | None = None
        _runners.add(self)

    def preprocess(self) -> None:
        """Call the PE's preprocess: once, before anything else.

        Raises:
            ProcessingError: it raised; there is no item to skip, so this always ends the run.
        """
        started_at = self._sent_at = perf_counter()
        try:
            if not self._is_prepared and self.planned.has_preprocess:
                self._stream.take()
                with self._calling():
                    self.pe.preprocess()
                self._draws = self._stream.look()
        except BaseException as error:
            raise self._error(error, "preprocess") from error
        self._add_seconds(started_at)
        if self.planned.is_watched:
            self._watch = StateWatch(self.pe)
            self._next_look = self._watch.next_look
        self._direct = _direct_way(self.planned, self.pe, self.written, self._copier, self.counters)
        if any(self.written.values()):  # goes ahead of what the first item writes
            self._on_written(self)

    def process(self, input_name: str | None, items: list[Any]) -> float:
        """Call the PE once per item.

        Args:
            input_name: the input that the items come in by; None for a root, whose items are the
                dicts that it is called with.
            items: the items; see `part` for what may become of the list.

        Returns:
            Seconds spent in the PE.

        Raises:
            ProcessingError: the PE raised, and `on_error` says to stop.
            UndeclaredStateError: it keeps state without saying so, and the run is strict.
        """
        if self._takes:
            self._stream.take()
        started_at = self._sent_at = perf_counter()
        to_come = self._each(input_name, items)
        call_each = self._call if self._direct is None else self._call_directly
        monitor = self.monitor  # as `_calling`, in place
        monitor.caller = get_ident()
        if monitor.is_shared:
            self._begin_shared()
        try:
            if self.marks:
                self._call_in_steps(call_each, input_name, items, to_come)
            else:
                while not call_each(input_name, to_come):
                    pass  # an item was skipped; go on with the next
            if self._is_forked:
                end_child()
        except KeyboardInterrupt:
            monitor.abandon()
            raise
        finally:
            monitor.caller = 0
            if monitor.is_shared:
                monitor.end()
        seconds = perf_counter() - started_at
        if self._nested_seconds:
            seconds -= self._nested_seconds
            self._nested_seconds = 0.0
        stats = self.stats
        stats.items += len(items)
        stats.seconds += seconds
        if self._takes and not self._draws:
            self._look_for_draws(seconds)
        if stats.items >= self._next_look:
            self._look_for_state()
        return seconds

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """Call the PE in a block: meanwhile its threads may write, and visitors may come."""
        monitor = self.monitor
        monitor.caller = get_ident()
        if monitor.is_shared:
            self._begin_shared()
        try:
            yield
            if self._is_forked:
                end_child()
        except BaseException as error:
            if self._is_forked:
                end_child(error)
            if isinstance(error, KeyboardInterrupt):
                monitor.abandon()
            raise
        finally:
            monitor.caller = 0
            if monitor.is_shared:
                monitor.end()

    def _begin_shared(self) -> None:
        self._check_late()
        self.monitor.begin()

    def _check_late(self) -> None:
        """Fail the run if a thread has written between two calls where that cannot be kept."""
        if self._late:
            self.monitor.caller = 0
            raise RunError(self._late)

    def _look_for_draws(self, seconds: float) -> None:
        """Check whether the last batch, which took so long, has drawn random numbers."""
        self._batches += 1
        self._draws = self._stream.look()
        is_watched = self._batches < _WATCHED_BATCHES or seconds > _WATCHED_SECONDS
        self._takes = self._draws or is_watched

    def _look_for_state(self) -> None:
        """Check whether the PE keeps undeclared state; once it is known, never again."""
        assert self._watch is not None
        changed = self._watch.look(self.stats.items)
        self._next_look = self._watch.next_look
        if changed:
            self.stats.changed = changed
            self._next_look, self._watch = inf, None
            if self._strict:
                raise undeclared(self.planned.id, changed)

    def _note_files(self, files: list[Any]) -> None:
        """Note the files that another instance of the PE would overwrite."""
        known = {place: name for name, place in self.stats.files} | overwritten(files)
        self.stats.files = tuple((name, place) for place, name in known.items())

    @property
    def to_come(self) -> int:
        """How many items of the batch in hand were not begun."""
        return length_hint(self._to_come)

    @property
    def has_written(self) -> bool:
        """Calls of the batch in hand that are done have written something."""
        return any(self._mark[1])

    def part(self) -> Parts:
        """Take a batch apart: from another thread, in the middle of a call; needs `marks`."""
        # One step, as far as other threads can tell: no item is both taken here and begun there.
        not_begun = list(self._to_come)
        if not_begun:
            del self.batch[-len(not_begun) :]
        done, written = self._mark
        return Parts(written, self.batch[done:], not_begun)

    def _call_in_steps(
        self,
        call_each: _CallEach,
        input_name: str | None,
        batch: list[Any],
        to_come: Iterator[Any],
    ) -> None:
        """Call the PE, and note in between what is done: at each item, unless items are quick."""
        self._to_come, self._mark = to_come, (0, [0] * len(self.written))
        self.batch = batch  # last: from here on another thread takes the rest to belong to it
        step = _STEP if self.slice >= self._batch_items else max(1, self.slice // _MARKS)
        done = 0
        while done < len(batch):
            self._mark = done, [len(items) for items in self.written.values()]
            items = islice(to_come, step)
            while not call_each(input_name, items):
                pass
            if self._is_forked:
                end_child()
            done += step

    def track(
        self,
        sent_before: Mapping[str, int] | None = None,
        call_offset: CallOffset | None = None,
    ) -> None:
        """Count what is sent from now on; see `ReplayCounter.begin`."""
        self.is_unrepeatable = self.is_unrepeatable and self.monitor.caller != 0
        self.replay.begin(sent_before, call_offset)

    def skip(self, item: Any, sent: Mapping[str, int]) -> None:
        """Take note of an item that the PE is not called with again.

        Args:
            item: the item, as it came.
            sent: output name → how much the call with it had sent when it was lost.
        """

    @property
    def roots_to_pause(self) -> tuple[int, ...]:
        """Numbers of the roots that should wait: items of them are held here, and too many."""
        return ()

    def snapshot(self, dumps: Callable[[Any], bytes]) -> bytes:
        """The PE as it is now, between two calls, without what ties it to this run.

        Args:
            dumps: makes bytes of it.
        """
        return dumps(self._kept())

    def __reduce__(self) -> tuple[type[_Untied], tuple[()]]:
        """Pickle as nothing: a PE may carry what ties it to a run, if its `__getstate__` does.

        So the ties need not be taken off while the PE is pickled, when a thread of it may write.
        """
        return _Untied, ()

    def _kept(self) -> GenericPE | InstanceSnapshot:
        """Return what goes to another process: of a replica, its name too."""
        if not (self._draws or self.planned.replicated):
            return self.pe
        return InstanceSnapshot(self.pe, 0, self._origin, self._stream.drawn)

    def _each(self, input_name: str | None, items: Sequence[Any]) -> Iterator[Any]:
        """What the PE is called with, one after the other."""
        return iter(items)

    def _call(self, input_name: str | None, items: Iterator[Any]) -> bool:
        """Call `process` with each item; False at one that failed."""
        process: Callable[[Any], Any] = self.pe.process
        written, copier, counters = self.written, self._copier, self.counters
        item = None
        try:
            for item in items:
                returned = process(item if input_name is None else {input_name: item})
                if type(returned) is not dict:
                    returned = self._as_dict(returned)
                is_large = False
                for name, value in returned.items():
                    if name not in written:
                        raise self._unknown_output(name, returned)
                    counter = counters[name]
                    try:
                        written[name].append(_kept(value, copier, counter))
                    except ItemError as error:
                        raise name_output(self.planned, name, error) from error.__cause__
                    is_large = is_large or counter.bytes > self._most_bytes
                if is_large:
                    self._hand_on()
        except BaseException as error:
            self._fail_in_call(error, item)
            return False
        return True

    def _call_directly(self, input_name: str | None, items: Iterator[Any]) -> bool:
        """The same for a PE whose `process` only hands on to `_process`."""
        assert self._direct is not None
        method, out, copier, counter = self._direct
        most_bytes, small, text = self._most_bytes, SMALL_BYTES, str
        unchangeable, texts, containers = IMMUTABLE, _TEXTS, _CONTAINERS
        hand_on = self._hand_on
        immutable: type = int  # that was seen last: streams are mostly of one type
        item = None
        # Kept short: each turn of a loop costs more if its code is longer than a byte can say.
        try:
            for item in items:
                data = method(item)
                if type(data) is immutable:
                    out.append(data)
                    continue
                kind = type(data)
                if kind is text and len(data) <= small:
                    out.append(data)
                    continue
                if kind in unchangeable:
                    if kind in texts:
                        counter.bytes += len(data)
                    else:
                        immutable = kind
                elif data is None:
                    continue
                elif kind in containers or not is_unreachable(data, item):
                    data = copier(data, counter)
                else:
                    counter.bytes += data.nbytes
                out.append(data)
                if counter.bytes > most_bytes:
                    hand_on()
        except BaseException as error:
            self._fail_in_call(error, item)
            return False
        return True

    def postprocess(self) -> None:
        """Call the PE's postprocess: once, after everything else.

        Raises:
            ProcessingError: it raised, and `on_error` says to stop.
            UndeclaredStateError: it keeps state without saying so, and the run is strict.
        """
        if self._watch is not None:
            self._look_for_state()
            self._watch = None  # which refers to all that the PE has
        if self.planned.is_watched:
            self._note_files(held_files(self.pe))
        if self.planned.has_postprocess:
            self._takes = True
            self._stream.take()
        self._check_late()
        started_at = self._sent_at = perf_counter()
        try:
            with self._calling():
                try:
                    self.pe.postprocess()
                finally:
                    self._is_complete = True
        except BaseException as error:
            self._on_error(self._error(error, "postprocess"), None)
        self._add_seconds(started_at)

    def close(self) -> None:
        """Release the PE: once, when its instance is done, given up or moved elsewhere.

        Nothing of the run refers to the PE any more, nor the PE to the run, so that Python frees
        it at once and in order; what waits in files that it has left open is written before.

        Raises:
            ProcessingError: that failed, and `on_error` says to stop.
        """
        if self._watch is not None:  # it is left without a postprocess
            with suppress(UndeclaredStateError):  # `stats` say so
                self._look_for_state()
            self._watch = None
        self.batch, self._to_come, self._direct = [], iter(()), None
        files = held_files(self.pe)
        if self.planned.is_watched:
            self._note_files(files)
        _detach(self.pe, partial(_write_too_late, self.planned.id))
        self.monitor.close()
        del self.pe
        try:
            finish_files(files)
        except Exception as error:
            self._on_error(self._error(error, "postprocess"), None)
        self._check_late()

    def _fail_in_call(self, error: BaseException, item: Any) -> None:
        if self._is_forked:
            end_child(error)
        self.monitor.enter()
        try:
            self.fail(error, item)
        finally:
            self.monitor.leave()

    def fail(self, error: BaseException, item: Any) -> None:
        """Hand an exception that belongs to an item of this instance to `on_error`."""
        if type(error) is ItemError and error.output is None and self._direct is not None:
            output: str = getattr(self.pe, "OUTPUT_NAME", "")
            error = name_output(self.planned, output, error)
        self._on_error(self._error(error, "process", item), item)

    def _error(self, error: BaseException, phase: str, item: Any = None) -> ProcessingError:
        let_pass(error)
        return ProcessingError.of(error, self.planned.id, self.instance, phase, item)

    def _write(self, name: str, data: Any) -> None:
        if get_ident() != self.monitor.caller:
            self._write_from_thread(name, data)
            return
        items = self.written.get(name)
        if items is None:
            raise self._unknown_output(name)
        counter = self.counters[name]
        items.append(data if type(data) in _SMALL else self._copied(name, data, counter))
        if (
            len(items) >= self._batch_items
            or counter.bytes >= self._batch_bytes
            or perf_counter() - self._sent_at >= self._linger
        ):
            self._send_on()

    def _copied(self, name: str, data: Any, counter: ByteCounter) -> Any:
        """Return what is written to an output as it is kept; what cannot be is named with it."""
        try:
            return _kept(data, self._copier, counter)
        except ItemError as error:
            raise name_output(self.planned, name, error) from error.__cause__

    def _write_from_thread(self, name: str, data: Any) -> None:
        """Take what a thread of the PE writes; wait while too much of that has not left.

        Whatever is appended while a call lasts belongs to it, as its marks and counts have it.
        """
        if name not in self.written:
            raise self._unknown_output(name)
        monitor, items, counter = self.monitor, self.written[name], self.counters[name]
        if monitor.has_failed:
            raise ThreadUnwind
        monitor.is_shared = True  # before looking whether a call lasts; see `CallMonitor`
        own = ByteCounter()
        data = self._copied(name, data, own)
        with monitor.changed:
            self._refuse_late(name)
            items.append(data)
            counter.bytes += own.bytes
            self.is_unrepeatable = True
            visit = monitor.wake()
            monitor.wait_for_room(
                visit,
                lambda: (
                    len(items) < self._limits.thread_items and counter.bytes < self._batch_bytes
                ),
            )

    def _refuse_late(self, name: str) -> None:
        """Refuse what a thread writes at a time when it cannot be kept."""
        if self._is_complete:
            _write_too_late(self.planned.id, name, None)
        if not self._leased:
            return
        if not self.monitor.caller:
            self._late = (
                f"{self.planned.id} wrote to output {name!r} from a thread while it was not called;"
                " what a call writes is complete when it returns, so wait for the thread before"
                " that"
            )
        elif self.replay.dropping(name) > len(self.written[name]):
            self._late = (
                f"{self.planned.id} was in the middle of a call when its worker was lost; it writes"
                " from threads, so what that call had sent already cannot be told from the rest"
            )
        if self._late:
            raise RunError(self._late)

    def _log(self, pe_id: str, rank: int, message: str) -> None:
        """Send a line; that of a thread of the PE is sent by a visitor, or when the engine runs."""
        assert self._lines is not None
        self._lines.put(pe_id, rank, message)
        monitor = self.monitor
        if get_ident() == monitor.caller:
            monitor.enter()
            try:
                self._lines.flush()
            finally:
                monitor.leave()
            return
        monitor.is_shared = True
        with monitor.changed:
            monitor.wake()

    def _hand_on(self) -> None:
        """Send between two calls what is larger than was planned for so many of them."""
        if self._is_forked:
            end_child()
        planned = self.team or self
        planned.slice = max(1, planned.slice // 2)
        self._send_on()

    def _send_on(self) -> None:
        """Have what was written go on its way, in the middle of a batch."""
        started_at = perf_counter()
        self.monitor.enter()
        try:
            self._on_written(self)
        finally:
            self.monitor.leave()
        if self._takes:
            self._stream.take()
        self._sent_at = perf_counter()
        self._nested_seconds += self._sent_at - started_at

    def _unknown_output(
        self, name: str, returned: Mapping[str, Any] | None = None
    ) -> UnknownOutputError:
        return unknown_output(self.planned.id, [*self.written], name, returned)

    def _as_dict(self, returned: Any) -> Mapping[str, Any]:
        if returned is None:
            return {}
        if isinstance(returned, Mapping):
            return returned
        raise no_outputs(self.pe, returned)

    def _add_seconds(self, started_at: float) -> float:
        seconds = perf_counter() - started_at
        if self._nested_seconds:
            seconds -= self._nested_seconds
            self._nested_seconds = 0.0
        self.stats.seconds += seconds
        return seconds


class InstanceGroup:
    """The instances of a PE that live in one process, called in the order of the items.

    Args:
        runners: the instances, by number; what they write is gathered in one place.

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
        self.slice = 1
        for runner in runners:
            runner.team = self

    def process(self, input_name: str | None, parts: Sequence[tuple[int, list[Any]]]) -> float:
        """Call instances with their parts, one after the other; see `Runner.process`."""
        seconds = 0.0
        for instance, items in parts:
            seconds += self.runners[instance].process(input_name, items)
        return seconds


def modules_of(pe: GenericPE) -> dict[int, Any]:
    """Return the memo by which `copy.deepcopy` leaves modules alone: they cannot be copied."""
    return {id(v): v for v in vars(pe).values() if isinstance(v, ModuleType)}


def check_copies(plan: Plan) -> None:
    """Check that instances can be made of all PEs, for a mapping that copies them in its process.

    Raises:
        GraphError: a PE cannot be copied.
    """
    for planned in plan.pes:
        _copy_pe(planned)


def _copy_pe(planned: PlannedPE) -> GenericPE:
    if planned.factory is not None:
        return planned.factory()
    try:
        return copy.deepcopy(planned.pe, modules_of(planned.pe))
    except Exception as error:  # a user's __deepcopy__ or __reduce__ may raise anything
        raise GraphError([f"{planned.id}: {cannot_carry(planned.pe, error)}"]) from error


def _detach(pe: GenericPE, write: Callable[[str, Any], None]) -> None:
    """Take away what ties a PE, and one that it wraps, to a run; `write` refuses what it writes."""
    for part in [pe, *(value for value in [*vars(pe).values()] if isinstance(value, GenericPE))]:
        part._run_writer = write  # in one step, as a thread of the PE may be about to write
        vars(part).pop("_run_log", None)


def _write_too_late(pe_id: str, name: str, data: Any) -> None:
    raise RunError(
        f"{pe_id} wrote to output {name!r} after its postprocess(), when it was complete; a thread"
        " that writes has to be joined in postprocess()"
    )


#: The runners of this process, for the processes that it forks.
_runners: weakref.WeakSet[Runner] = weakref.WeakSet()


def _leave_runs_to_parent() -> None:
    """Detach all PEs from their runs, in a process that was forked.

    It would send what its parent has written once more, by its parent's connections.
    """
    leave_loops((Runner._call.__code__, Runner._call_directly.__code__))
    for runner in [*_runners]:
        runner._is_forked = True
        pe = vars(runner).get("pe")
        if pe is not None:
            _detach(pe, partial(_write_elsewhere, runner.planned.id))


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_leave_runs_to_parent)


def _write_elsewhere(pe_id: str, name: str, data: Any) -> None:
    raise RunError(
        f"{pe_id} wrote to output {name!r} in a process that it has started itself; let that"
        " process return its data, and write it in the PE's own"
    )


def _direct_way(
    planned: PlannedPE,
    pe: GenericPE,
    written: dict[str, list[Any]],
    copier: CountingCopier,
    counters: dict[str, ByteCounter],
) -> _DirectWay | None:
    """`_process` and what takes its result, where `process` does no more than call it."""
    if "process" in vars(pe):
        return None
    process = type(pe).process
    if planned.is_root:
        if process is not ProducerPE.process:
            return None
    elif process is ConsumerPE.process:
        return pe._process, deque(maxlen=0), _drop, ByteCounter()  # what it returns goes nowhere
    elif process is not IterativePE.process:
        return None
    output = getattr(pe, "OUTPUT_NAME", None)
    return (pe._process, written[output], copier, counters[output]) if output in written else None


def _kept(data: Any, copier: CountingCopier, counter: ByteCounter) -> Any:
    """Return what was written, as it is kept from now on, and count its bytes."""
    kind = type(data)
    if kind not in IMMUTABLE:
        return copier(data, counter)
    if kind in _TEXTS and len(data) > SMALL_BYTES:
        counter.bytes += len(data)
    return data


def _drop(data: Any, counter: ByteCounter) -> None:
    """Take the place of what is not to be kept."""
