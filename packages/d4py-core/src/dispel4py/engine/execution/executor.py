"""`Executor`: runs the instances that live in this process, and passes items between them.

Batches wait on a stack, so that items are processed down to the end of the graph before more are
made, at any depth and without recursion; memory holds one batch per stage.  Items that leave the
process go to an `OutputHandler`.  All mappings use it: `simple` has all instances here, a rank or
a worker of a parallel mapping has some.

A batch takes about `EngineLimits.batch_seconds` to process.  Where results come in order, that
order does not depend on the sizes of batches: the instances of a PE are called in the order of the
items (`InstanceGroup`), and where items can reach a PE by two paths (`Plan.order_matters`) they
travel one by one, depth first.
"""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import copy_context
from itertools import islice
from operator import itemgetter
from time import perf_counter
from typing import TYPE_CHECKING, Any

from dispel4py.core import GenericPE
from dispel4py.engine.calls.context_runner import ContextRunner
from dispel4py.engine.calls.log_lines import Log, LogLines
from dispel4py.engine.calls.ordered_runner import OrderedRunner
from dispel4py.engine.calls.replay import CallOffset
from dispel4py.engine.calls.runner import Runner
from dispel4py.engine.calls.runner_options import OnError, RunnerOptions, raise_error
from dispel4py.engine.execution.outlets import Receiver
from dispel4py.engine.execution.output_table import OutputHandler, OutputTable
from dispel4py.engine.execution.pickled_items import all_leave
from dispel4py.engine.execution.slices import adapt_slice
from dispel4py.engine.execution.waiting_items import READY, WaitingItems
from dispel4py.engine.execution.work_stack import WorkStack
from dispel4py.engine.inputs import Batch, CallRange, take_calls
from dispel4py.engine.items.copying import Copier, CountingCopier, copy_item
from dispel4py.engine.items.item_ids import InstanceSnapshot
from dispel4py.engine.items.reorder_buffer import OrderedSnapshot
from dispel4py.engine.items.sizes import ByteCounter
from dispel4py.engine.planning.plan import Plan
from dispel4py.exceptions.unwinding import Unwind
from dispel4py.processes.contexts import event_loop, running_loop
from dispel4py.processes.workers.exiting import abort_call
from dispel4py.result import InstanceStats

if TYPE_CHECKING:
    from dispel4py.engine.execution.metering import Meter


class Executor:
    """Runs the local instances of a plan.

    Args:
        plan: the plan.
        handler: takes the items that leave the process.
        is_local: returns whether (PE number, instance) is local; None if all are.
        rank: number of this process.
        copier: copies written items.
        sending_copier: returns what copies the output of an instance (PE number, instance), if all
            of it leaves the process (`engine.execution.pickled_items`); None for `copier`.  With
            one, `is_local` never changes.
        on_error: see `dispel4py.engine.calls.runner_options.OnError`.
        log: gets what PEs log.
        on_batch_end: called between batches, at least about every `EngineLimits.batch_seconds`;
            if it returns True, `drain` returns although items wait.
        one_by_one: items travel one at a time.  None keeps the order of results, one by one where
            the plan requires it; False gives the order up for speed.
        has_unsent: returns whether output waits to leave this process, so that `on_batch_end` is
            called now and then during a long call of a PE with threads.  None if none ever does.
        any_thread: the `OutputHandler` and `on_batch_end` may be called by one thread after
            another; else output of threads of a PE waits for the thread that calls the PE.
        lets_wait: items may wait for others, to become a batch (`GenericPE.batch_seconds`), until
            the mapping calls `process_waiting` or `finish`.
        meter: counts what instances do, and reports it; None if the run is not observed.
        clock: returns the time in seconds.

    Attributes:
        stack: the batches that `drain` processes.
        waiting: the items that wait for others, to become a batch.
    """

    #: See `RunnerOptions`.
    _leased = False

    def __init__(
        self,
        plan: Plan,
        handler: OutputHandler,
        *,
        is_local: Callable[[int, int], bool] | None = None,
        rank: int = 0,
        copier: Copier = copy_item,
        sending_copier: Callable[[tuple[int, int]], CountingCopier] | None = None,
        on_error: OnError = raise_error,
        log: Log | None = None,
        on_batch_end: Callable[[], bool] | None = None,
        one_by_one: bool | None = None,
        has_unsent: Callable[[], bool] | None = None,
        any_thread: bool = True,
        lets_wait: bool = False,
        meter: Meter | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.plan = plan
        self._meter = meter
        self._lines = None if log is None else LogLines(log)
        self._on_batch_end = on_batch_end
        self._one_by_one = plan.order_matters if one_by_one is None else one_by_one
        self._limits = plan.limits
        self._has_unsent = has_unsent
        self._clock = clock
        self._context = copy_context()
        self._thread, self._loop = get_ident(), running_loop()
        self._options = RunnerOptions(
            rank=rank,
            copier=copier,
            on_error=on_error if meter is None else meter.counting(on_error),
            on_thread_written=self._on_thread_written if any_thread else None,
            on_stuck=self._on_stuck,
            leased=self._leased,
            lines=self._lines,
            limits=plan.limits._replace(batch_items=1) if self._one_by_one else plan.limits,
            seed=plan.seed,
            strict=plan.strict,
            context=self._context,
            clock=clock,
        )
        self._has_groups = one_by_one is None and is_local is None and not self._one_by_one
        self._runners: dict[tuple[int, int], Runner] = {}
        self._ordered: dict[tuple[int, int], Runner] = {}
        self._outputs = OutputTable(
            plan,
            handler,
            self.start,
            is_local,
            copier,
            has_groups=self._has_groups,
            counts=meter is not None,
        )
        self._is_local, self._sending_copier = is_local, sending_copier
        self._call_counters: dict[int, ByteCounter] = {}
        self._closed: list[tuple[tuple[int, int], Runner]] = []
        self.stack = WorkStack()
        self.waiting = WaitingItems(clock)
        self._lets_wait = lets_wait and not self._one_by_one
        self._calling: list[Runner] = []
        self._failure: BaseException | None = None

    # State.

    @property
    def item_bytes(self) -> int:
        """Average size of the items that the `OutputHandler` is getting now."""
        return self._outputs.item_bytes

    @property
    def in_call(self) -> bool:
        """Whether a PE is in the middle of a call, which has written something."""
        return bool(self._calling)

    @property
    def call_stack(self) -> list[tuple[int, int]]:
        """(PE number, instance) of the calls that have not returned, the outermost one first."""
        return [(runner.planned.index, runner.instance) for runner in self._calling]

    @property
    def pes_in_call(self) -> set[int]:
        """Numbers of the PEs that are in the middle of a call and must not be called now."""
        return {runner.planned.index for runner in self._calling}

    @property
    def roots_to_pause(self) -> dict[tuple[int, int], tuple[int, ...]]:
        """Local instances with too many early items, and the roots that should pause.

        Only roots are ever paused: the next item of an ordered input may be behind any item that is
        further down the graph.
        """
        if not self._ordered:
            return {}
        found = {at: runner.roots_to_pause for at, runner in self._ordered.items()}
        return {at: roots for at, roots in found.items() if roots}

    @property
    def stats(self) -> list[InstanceStats]:
        """Statistics of all local instances."""
        return [stats for _, stats in self.stats_by_pe()]

    def stats_by_pe(self) -> list[tuple[int, InstanceStats]]:
        """Return the statistics of all local instances, each with the number of the PE."""
        runners = sorted([*self._closed, *self._runners.items()], key=itemgetter(0))
        return [(pe, runner.stats) for (pe, _), runner in runners]

    # Instances.

    def start(
        self,
        pe: int,
        instance: int,
        restored: GenericPE | InstanceSnapshot | OrderedSnapshot | None = None,
        sent_before: Mapping[str, int] | None = None,
        call_offset: CallOffset | None = None,
    ) -> Runner:
        """Return the runner of a local instance; the first call makes and preprocesses the PE.

        Args:
            pe: number of the PE.
            instance: number of the instance.
            restored: see `Runner`.
            sent_before: see `Runner.track`; None does not track the instance.
            call_offset: see `Runner.track`.
        """
        runner = self._runners.get((pe, instance))
        if runner is not None:
            return runner
        first = self.start(pe, 0) if self._has_groups and instance else None
        runner = self._make_runner(pe, instance, first, restored)
        self._prepare_runner(runner)
        if sent_before is not None:
            runner.track(sent_before, call_offset)
        self._runners[pe, instance] = runner
        if runner.planned.ordered:
            self._ordered[pe, instance] = runner
        outputs = self._outputs.add(runner, first)
        if self._meter is not None:
            self._meter.begin_instance(runner, outputs, is_first=first is None)
        self._guarded(runner.preprocess)
        return runner

    def _make_runner(
        self,
        pe: int,
        instance: int,
        first: Runner | None,
        restored: GenericPE | InstanceSnapshot | OrderedSnapshot | None,
    ) -> Runner:
        planned = self.plan.pes[pe]
        make: Callable[..., Runner] = Runner
        if planned.has_places:
            make = OrderedRunner
        elif planned.with_ids or planned.seeks:
            make = ContextRunner
        copier, sending, is_local = None, self._sending_copier, self._is_local
        if sending is not None and is_local is not None:
            copier = sending((pe, instance)) if all_leave(self.plan, planned, is_local) else None
        return make(
            planned,
            instance,
            self._on_written,
            self._options,
            first=first,
            restored=restored,
            copier=copier,
        )

    def _prepare_runner(self, runner: Runner) -> None:
        """Prepare a runner that was just made."""

    def finish(self, pe: int, instance: int, *, close: bool = True) -> None:
        """Postprocess a local instance, and process everything local that follows.

        Args:
            pe: number of the PE.
            instance: number of the instance.
            close: close the instance as well; else call `close` later.
        """
        runner = self.start(pe, instance)
        self.process_waiting([pe])
        self._guarded(runner.postprocess)
        self.stack += self._outputs.collect(runner)
        self.drain()
        if close:
            self.close(pe, instance)

    def close(self, pe: int, instance: int) -> None:
        """Release a local instance that is done, abandoned or moved to another process.

        Raises:
            ProcessingError: see `Runner.close`.
        """
        runner = self._runners.pop((pe, instance), None)
        self._ordered.pop((pe, instance), None)
        if runner is not None:
            self._closed.append(((pe, instance), runner))
            if self._meter is not None:
                self._meter.end_instance(runner)
            self._guarded(runner.close)

    def close_all(self) -> None:
        """Release all local instances, also after one has failed.

        Raises:
            ProcessingError: see `Runner.close`.
        """
        failure = None
        self.stack.clear()
        self.waiting.clear()
        for pe, instance in [*self._runners]:
            try:
                self.close(pe, instance)
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Release all local instances at the end of the block, also if the run has failed."""
        try:
            yield
        except BaseException:
            with suppress(Exception):  # the error that ended the run is the one to report
                self.close_all()
            if self._meter is not None:
                self._meter.stop()
            raise
        self.close_all()
        if self._meter is not None:
            self._meter.finish()

    # Work.

    def push(self, pe: int, instance: int, input_name: str | None, items: Batch) -> None:
        """Add a batch for a local instance to the stack; `drain` processes it."""
        self.stack.append((self.start(pe, instance), input_name, items))

    def call_root(self, pe: int, calls: Iterator[dict[str, Any]]) -> bool:
        """Call a root for about one batch, and process everything local that follows.

        Returns:
            False when `calls` is exhausted.
        """
        called = self.feed(pe, 0, None, calls)
        self.drain()
        return called > 0

    def call_range(self, pe: int, instance: int, calls: CallRange) -> CallRange:
        """Call a root for about one batch of numbered calls, and process what follows.

        Returns:
            The remaining calls.
        """
        runner = self.start(pe, instance)
        batch, rest = calls[: runner.slice], calls[runner.slice :]
        self._process(runner, None, batch)
        self.drain()
        return rest

    def feed(self, pe: int, instance: int, input_name: str | None, items: Iterator[Any]) -> int:
        """Call a local instance with about one batch of items; `drain` processes what follows.

        Returns:
            The number of items; 0 when `items` is exhausted.
        """
        runner = self.start(pe, instance)
        started_at = self._clock()
        if input_name is None:
            counter = self._call_counters.setdefault(pe, ByteCounter())
            batch: Sequence[Any] = take_calls(
                items, runner.slice, self._limits.batch_bytes, counter
            )
        else:
            batch = list(islice(items, runner.slice))
        if batch:
            self._process(runner, input_name, batch, self._clock() - started_at)
        return len(batch)

    def skip(self, pe: int, instance: int, item: Any) -> None:
        """Skip an item of a tracked instance; `drain` processes what follows.

        Args:
            pe: number of the PE.
            instance: number of the instance.
            item: the item, as it was received; None for a call of a root.
        """
        runner = self.start(pe, instance)
        sent = runner.replay.left_to_drop
        runner.track()
        runner.skip(item, sent)
        self.stack += self._outputs.collect(runner)
        runner.track()

    def process_waiting(self, pes: Iterable[int]) -> None:
        """Process what waits for some PEs to become a batch, and everything local that follows."""
        for pe in pes:
            for work in self.waiting.take(pe):
                self._process(*work)
                self.drain()

    def drain(self) -> bool:
        """Process all batches on the stack, and everything local that follows.

        Returns:
            False if `on_batch_end` has stopped it.

        Raises:
            ProcessingError: a PE raised, and `on_error` raises.
        """
        stack = self.stack
        floor = stack.floor
        while len(stack) > floor:
            receiver, input_name, items = stack.pop()
            size = receiver.slice
            if type(items) not in READY:
                bounds = receiver.planned.batch
                if bounds is not None and bounds.waits and self._lets_wait:
                    stack += reversed(self.waiting.add(receiver, input_name, items))
                    continue
                if len(items) > size:
                    stack.append((receiver, input_name, items[size:]))
                    items = items[:size]
            self._process(receiver, input_name, items)
            del items  # what the PE has passed on belongs to its receiver; see `unreachable_items`
            if self._on_batch_end is not None and self._on_batch_end():
                return False
        return True

    # Calls.

    def _process(
        self, receiver: Receiver, input_name: str | None, batch: Any, seconds: float = 0.0
    ) -> None:
        """Call a PE with a batch on which `seconds` were spent already."""
        called = 0.0
        try:
            called = self._call(receiver, input_name, batch)
        except BaseException:
            if self._failure is None:
                raise
        if self._failure is not None:
            raise self._unwind()
        seconds += called
        if self._lines:
            self._lines.flush()
        if self._meter is not None:
            if called >= self._meter.slow_seconds:
                self._meter.add_slow(receiver, batch, called)
            if self._meter.is_requested:
                self._meter.report()
        if not self._one_by_one and receiver.planned.batch is None:
            adapt_slice(receiver, len(batch), seconds, self._limits)
        self.stack += self._outputs.collect(receiver)

    def _call(self, receiver: Receiver, input_name: str | None, batch: Any) -> float:
        return receiver.process(input_name, batch)

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException:
            if self._failure is None:
                raise
        if self._failure is not None:
            raise self._unwind()
        if self._lines:
            self._lines.flush()

    def _unwind(self) -> BaseException:
        """Return the exception to raise once the run has failed, even if a PE has caught one."""
        assert self._failure is not None
        # The error itself is kept in `_failure`, so that no bare `except:` of a PE swallows it.
        return Unwind() if self._calling else self._failure

    def _on_written(self, runner: Runner) -> None:
        """Process what a PE has written, in the middle of its call."""
        if self._failure is not None:
            raise Unwind
        if len(self._calling) < self._limits.nested_calls:
            self._run_nested(runner)

    def _on_thread_written(self, runner: Runner) -> bool:
        """Process what threads of a PE have written or logged, in the middle of a call."""
        if self._lines:
            self._lines.flush()
        if any(runner.written.values()) or (self._has_unsent is not None and self._has_unsent()):
            self._on_written(runner)
        return self._has_unsent is not None and self._has_unsent()

    def _on_stuck(self, caller: int) -> None:
        if self._failure is not None:
            abort_call(self._failure, caller)

    def _run_nested(self, runner: Runner) -> None:
        self._calling.append(runner)
        stack = self.stack
        outer_floor = stack.set_aside()
        loop = self._loop if get_ident() == self._thread else None
        try:
            with event_loop(loop):  # and not what the call has set and runs
                self._context.copy().run(self._process_written, runner)
        except BaseException as error:
            if self._failure is None:
                self._failure = error
            raise Unwind from None
        finally:
            stack.floor = outer_floor
            self._calling.pop()

    def _process_written(self, runner: Runner) -> None:
        """Process what a runner's call has written, and all that follows."""
        self.stack += self._outputs.collect(runner)
        runner.note_sent()
        while not self.drain():
            pass  # the call that wrote these items cannot be interrupted
        if self._on_batch_end is not None:
            self._on_batch_end()

    # Logging.

    def flush_log(self) -> None:
        """Send what threads of PEs have logged; a mapping calls this where it waits, and at last.

        Otherwise it is sent between batches.
        """
        if self._lines:
            self._lines.flush()

    def end_log(self) -> None:
        """Show in this process what threads of PEs log from now on, since the run is over."""
        if self._lines is not None:
            self._lines.end()
