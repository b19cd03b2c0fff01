"""The executor: runs the instances that live in this process and hands items between them.

Work waits on a stack, so items are followed down the graph before more are made, whatever the
depth and without recursion; memory holds one batch per stage.  What leaves the process goes to an
`OutputHandler`.  Every mapping stands on it: `simple` keeps all instances here, a rank or a worker
of a parallel mapping keeps some.

Items travel in batches that take about `EngineLimits.batch_seconds` to process.  Where results come
in order, that order does not depend on how batches were cut: the instances of a PE are called in
the order of the items (`InstanceGroup`), and where items can reach a PE by two paths
(`Plan.order_matters`) they travel one by one, depth first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from operator import itemgetter
from time import perf_counter
from typing import Any, Protocol

from dispel4py.core import GenericPE
from dispel4py.engine.call_context import ContextRunner
from dispel4py.engine.copying import Copier, copy_item, share_item
from dispel4py.engine.inputs import CallRange, take_calls
from dispel4py.engine.item_ids import InstanceSnapshot, bare
from dispel4py.engine.log_lines import Log, LogLines
from dispel4py.engine.ordered import places
from dispel4py.engine.ordered.reorder_buffer import OrderedSnapshot
from dispel4py.engine.ordered.router import OrderedRouter, take_path
from dispel4py.engine.ordered.runner import OrderedRunner
from dispel4py.engine.plan import Plan, Route
from dispel4py.engine.replay import CallOffset
from dispel4py.engine.routing import Router, copy_items, fork_items
from dispel4py.engine.runner import InstanceGroup, OnError, Runner, raise_error
from dispel4py.engine.sizes import SMALL_BYTES, ByteCounter
from dispel4py.exceptions.unwinding import Unwind
from dispel4py.processes.worker_exit import abort_call
from dispel4py.result import InstanceStats


class OutputHandler(Protocol):
    """Where items go that do not stay in this process."""

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        """Carry items to an instance that lives elsewhere."""

    def result(self, pe_id: str, output: str, items: list[Any]) -> None:
        """Hand results to the caller of the run."""


#: Items, or calls of a root, which come in by no input.
Batch = list[Any] | CallRange
#: A batch that waits: its receiver, the input that it comes in by, its items.
_Work = tuple[Runner | InstanceGroup, str | None, Batch]
#: The same for others: number of the PE, instance, input, items.
Parted = tuple[int, int, str | None, Batch]


class Executor:
    """Runs the local instances of a plan.

    Args:
        plan: the plan.
        exits: where the rest goes.
        is_local: says whether (PE number, instance) lives here; None if all do.
        rank: number of this process.
        copier: copies what a PE writes.
        on_error: see `dispel4py.engine.runner.OnError`.
        log: gets what PEs log.
        on_batch_end: called between batches, at least about every `EngineLimits.batch_seconds`;
            if it returns True, `drain` returns although items wait.
        one_by_one: items travel one at a time.  None keeps the order of results, one by one where
            the plan says so; False gives it up for speed.
        leased: what runs here has been leased, so calls are settled as soon as they end; and in the
            middle of one, another thread can take what waits behind it (`entered`, `split_batch`).
        has_unsent: says whether something waits to leave this process, so that `on_batch_end` is
            called now and then during a long call of a PE with threads.  None if nothing ever does.
        any_thread: the `OutputHandler` and `on_batch_end` may be called by one thread after
            another; else what threads of a PE write waits for the thread that calls the PE.

    Attributes:
        item_bytes: about how many bytes each of the items takes that the `OutputHandler` gets now.
    """

    def __init__(
        self,
        plan: Plan,
        exits: OutputHandler,
        *,
        is_local: Callable[[int, int], bool] | None = None,
        rank: int = 0,
        copier: Copier = copy_item,
        on_error: OnError = raise_error,
        log: Log | None = None,
        on_batch_end: Callable[[], bool] | None = None,
        one_by_one: bool | None = None,
        leased: bool = False,
        has_unsent: Callable[[], bool] | None = None,
        any_thread: bool = True,
    ) -> None:
        self.plan = plan
        self._exits = exits
        self._is_local = is_local
        self._rank = rank
        self._copier = copier
        self._on_error = on_error
        self._lines = None if log is None else LogLines(log)
        self._on_batch_end = on_batch_end
        self._one_by_one = plan.order_matters if one_by_one is None else one_by_one
        self._limits = limits = plan.limits
        self._runner_limits = replace(limits, batch_items=1) if self._one_by_one else limits
        self._in_teams = one_by_one is None and is_local is None and not self._one_by_one
        self._teams: dict[int, InstanceGroup] = {}
        self._position = {pe: i for i, pe in enumerate(plan.order)}
        self._runners: dict[tuple[int, int], Runner] = {}
        self._ordered: dict[tuple[int, int], Runner] = {}
        self._outlets: dict[Runner | InstanceGroup, list[_Output]] = {}
        self._taken: dict[int, ByteCounter] = {}
        self.item_bytes = SMALL_BYTES
        self._closed: list[tuple[tuple[int, int], Runner]] = []
        self._stack: list[_Work] = []
        self._floor = 0
        self._calling: list[Runner] = []
        self._failure: BaseException | None = None
        self._leased = leased
        self._has_unsent = has_unsent
        self._any_thread = any_thread
        self._parting: tuple[Runner, str | None, list[Any], Batch] | None = None

    @property
    def in_call(self) -> bool:
        """A PE is in the middle of a call, so what happens now happens inside its `write`."""
        return bool(self._calling)

    @property
    def call_stack(self) -> list[tuple[int, int]]:
        """(PE number, instance) of those that are in the middle of a call, the first one first."""
        return [(runner.planned.index, runner.instance) for runner in self._calling]

    @property
    def pes_in_call(self) -> set[int]:
        """Numbers of the PEs that are in the middle of a call and must not be called now."""
        return {runner.planned.index for runner in self._calling}

    @property
    def pes_waiting(self) -> set[int]:
        """Numbers of the PEs that items wait for here."""
        return {runner.planned.index for runner, _, _ in self._stack}

    @property
    def is_drained(self) -> bool:
        """Nothing waits here that `drain` would run."""
        return len(self._stack) <= self._floor

    @property
    def stats(self) -> list[InstanceStats]:
        """What each local instance has done so far."""
        return [stats for _, stats in self.stats_by_pe()]

    def stats_by_pe(self) -> list[tuple[int, InstanceStats]]:
        """The same with the numbers of the PEs."""
        runners = sorted([*self._closed, *self._runners.items()], key=itemgetter(0))
        return [(pe, runner.stats) for (pe, _), runner in runners]

    def start(
        self,
        pe: int,
        instance: int,
        restored: GenericPE | InstanceSnapshot | OrderedSnapshot | None = None,
        sent_before: Mapping[str, int] | None = None,
        call_offset: CallOffset | None = None,
    ) -> Runner:
        """The runner of a local instance; made, and its PE preprocessed, at the first call.

        Args:
            pe: number of the PE.
            instance: number of the instance.
            restored: see `Runner`.
            sent_before: see `Runner.track`; None does not track the instance.
            call_offset: see there.
        """
        runner = self._runners.get((pe, instance))
        if runner is None:
            planned = self.plan.pes[pe]
            first = self.start(pe, 0) if self._in_teams and instance else None
            make: Callable[..., Runner] = Runner
            if planned.has_places:
                make = OrderedRunner
            elif planned.with_ids or planned.seeks:
                make = ContextRunner
            runner = make(
                planned,
                instance,
                self._on_written,
                rank=self._rank,
                copier=self._copier,
                on_error=self._on_error,
                on_thread_written=self._on_thread_written if self._any_thread else None,
                on_stuck=self._on_stuck,
                leased=self._leased,
                log=self._lines,
                limits=self._runner_limits,
                written=None if first is None else first.written,
                counters=None if first is None else first.counters,
                restored=restored,
                seed=self.plan.seed,
                strict=self.plan.strict,
            )
            runner.marks = runner.monitor.is_shared = self._leased and make is Runner
            if sent_before is not None:
                runner.track(sent_before, call_offset)
            self._runners[pe, instance] = runner
            if planned.ordered:
                self._ordered[pe, instance] = runner
            if first is None:
                self._outlets[runner] = [
                    (
                        output,
                        runner.written[output],
                        runner.counters[output],
                        self._make_outlets(routes, runner),
                    )
                    for output, routes in planned.routes.items()
                ]
            else:
                self._outlets[runner] = self._outlets[first]
            self._guarded(runner.preprocess)
        return runner

    def push(self, pe: int, instance: int, input_name: str | None, items: Batch) -> None:
        """Give a local instance items, or a root calls; they are processed by `drain`."""
        self._stack.append((self.start(pe, instance), input_name, items))

    def call_root(self, pe: int, calls: Iterator[dict[str, Any]]) -> bool:
        """Call a root for about one slice, and run everything local that follows from it.

        Returns:
            False when `calls` is exhausted.
        """
        made = self.feed(pe, 0, None, calls)
        self.drain()
        return made > 0

    def call_range(self, pe: int, instance: int, calls: CallRange) -> CallRange:
        """Do the same with calls that are known by their numbers.

        Returns:
            What is left of them.
        """
        runner = self.start(pe, instance)
        batch, left = calls[: runner.slice], calls[runner.slice :]
        self._process(runner, None, batch)
        self.drain()
        return left

    def feed(self, pe: int, instance: int, input_name: str | None, items: Iterator[Any]) -> int:
        """Give a local instance about one slice of items; what follows is run by `drain`.

        Returns:
            How many it took; 0 when `items` is exhausted.
        """
        runner = self.start(pe, instance)
        started_at = perf_counter()
        if input_name is None:
            batch = take_calls(
                items,
                runner.slice,
                self._limits.batch_bytes,
                self._taken.setdefault(pe, ByteCounter()),
            )
        else:
            batch = list(islice(items, runner.slice))
        if batch:
            self._process(runner, input_name, batch, perf_counter() - started_at)
        return len(batch)

    def skip(self, pe: int, instance: int, item: Any) -> None:
        """Skip an item of a tracked instance; what follows from that is run by `drain`.

        Args:
            pe: number of the PE.
            instance: number of the instance.
            item: the item, as it came; None for a call of a root.
        """
        runner = self.start(pe, instance)
        sent = runner.replay.left_to_drop
        runner.track()
        runner.skip(item, sent)
        self._collect(runner)
        runner.track()

    @property
    def roots_to_pause(self) -> dict[tuple[int, int], tuple[int, ...]]:
        """Local instances that hold too many early items, with the roots that should wait.

        Roots are held up by nothing else than this: what an ordered input waits for may be behind
        anything that is further down the graph.
        """
        found = {at: runner.roots_to_pause for at, runner in self._ordered.items()}
        return {at: roots for at, roots in found.items() if roots}

    def finish(self, pe: int, instance: int, *, close: bool = True) -> None:
        """Postprocess a local instance, and run everything local that follows from it.

        Args:
            pe: number of the PE.
            instance: number of the instance.
            close: release it as well; without, call `close` later.
        """
        runner = self.start(pe, instance)
        self._guarded(runner.postprocess)
        self._collect(runner)
        self.drain()
        if close:
            self.close(pe, instance)

    def close(self, pe: int, instance: int) -> None:
        """Release a local instance that is done, given up or moved elsewhere.

        Raises:
            ProcessingError: see `Runner.close`.
        """
        runner = self._runners.pop((pe, instance), None)
        self._ordered.pop((pe, instance), None)
        if runner is not None:
            self._closed.append(((pe, instance), runner))
            self._guarded(runner.close)

    def close_all(self) -> None:
        """Release all local instances; all others too if one fails.

        Raises:
            ProcessingError: see `Runner.close`.
        """
        failure = None
        self._stack.clear()
        for pe, instance in [*self._runners]:
            try:
                self.close(pe, instance)
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Release all local instances at the end of a block, also where the run has failed."""
        try:
            yield
        except BaseException:
            with suppress(Exception):  # the error that ended the run is the one to report
                self.close_all()
            raise
        self.close_all()

    def drain(self) -> bool:
        """Process all local items, down to the end of every local path.

        Returns:
            False if `on_batch_end` stopped it.

        Raises:
            ProcessingError: a PE raised, and `on_error` says to stop.
        """
        stack = self._stack
        floor = self._floor
        while len(stack) > floor:
            runner, input_name, items = stack.pop()
            size = runner.slice
            if len(items) > size:
                stack.append((runner, input_name, items[size:]))
                items = items[:size]
            self._process(runner, input_name, items)
            if self._on_batch_end is not None and self._on_batch_end():
                return False
        return True

    @contextmanager
    def fresh_stack(self) -> Iterator[None]:
        """Leave what waits now alone: `drain` inside runs only what is pushed inside."""
        outer_floor, self._floor = self._floor, len(self._stack)
        try:
            yield
        finally:
            self._floor = outer_floor

    def take_waiting(self, keep: Callable[[int], bool]) -> list[Parted]:
        """Take the items that wait, oldest first, as (PE number, instance, input, items).

        Args:
            keep: says which PEs' items stay.
        """
        taken: list[Parted] = []
        kept: list[_Work] = []
        for work in self._stack[self._floor :]:
            runner, input_name, items = work
            pe = runner.planned.index
            if keep(pe):
                kept.append(work)
            else:
                taken.append((pe, runner.instance, input_name, items))
        self._stack[self._floor :] = kept
        return taken

    @property
    def current_batch(self) -> object | None:
        """The current batch if `split_batch` can split it; a new object for each batch."""
        if self._parting is None or self._parting[0].batch is not self._parting[2]:
            return None
        return self._parting

    @property
    def current_items(self) -> tuple[int, list[Any]]:
        """PE and items of the batch in hand; only if there is one."""
        assert self._parting is not None
        runner, _, items, _ = self._parting
        return runner.planned.index, items

    @property
    def has_pending(self) -> bool:
        """Something waits here, or in the batch in hand, that was not begun."""
        if self._parting is None:
            return False
        return not self.is_drained or self._parting[0].to_come > 0

    @property
    def has_written(self) -> bool:
        """Something came of those items of the batch in hand that are done."""
        return self._parting is not None and self._parting[0].has_written

    @contextmanager
    def entered(self, in_hand: object) -> Iterator[bool]:
        """Run the engine in a block, from another thread, while a batch is in hand.

        Args:
            in_hand: the batch, as `in_hand` has given it.

        Returns:
            False if it is not in hand any more.
        """
        parting = self._parting
        if parting is None or parting is not in_hand:
            yield False
            return
        with parting[0].monitor.entered() as is_there:
            yield is_there and self._parting is parting

    def split_batch(self, keep: Callable[[int], bool]) -> tuple[Parted, list[Parted]]:
        """Leave the batch in hand alone: from another thread, in `entered`.

        What came of those of its items that are done goes on its way.

        Args:
            keep: see `take_waiting`.

        Returns:
            Those of its items that are not done but begun, of which nothing has gone on its way;
            and all else that waited here.
        """
        assert self._parting is not None
        runner, input_name, batch, source = self._parting
        self._parting = None
        parts = runner.part()
        in_hand: Batch = parts.in_hand
        not_begun: Batch = parts.not_begun
        if isinstance(source, CallRange):  # by number: the dicts are the root's by now
            begun = len(batch)
            in_hand, not_begun = source[begun - len(in_hand) : begun], source[begun:]
        self._collect(runner, parts.written)
        at = runner.planned.index, runner.instance, input_name
        waiting = self.take_waiting(keep)
        if not_begun:
            waiting.append((*at, not_begun))
        return (*at, in_hand), waiting

    def forbid_split(self) -> None:
        """Something came of the batch in hand, so it cannot be begun again."""
        self._parting = None

    def _process(
        self,
        runner: Runner | InstanceGroup,
        input_name: str | None,
        batch: Batch,
        seconds: float = 0.0,
    ) -> None:
        """Call a PE with a batch; `seconds` were spent on it before."""
        items: Any = batch
        try:
            if self._leased:
                seconds += self._process_parting(runner, input_name, batch)
            else:
                seconds += runner.process(input_name, items)
        except BaseException:
            if self._failure is None:
                raise
        if self._failure is not None:
            raise self._unwind()
        if self._lines:
            self._lines.flush()
        if not self._one_by_one:
            if seconds > self._limits.batch_seconds:
                slower = int(len(batch) * self._limits.batch_seconds / seconds)
                runner.slice = max(1, min(runner.slice, slower))
            elif (
                seconds < self._limits.batch_seconds / 2
                and len(batch) == runner.slice < self._limits.batch_items
                and all(
                    counter.bytes < self._limits.batch_bytes for counter in runner.counters.values()
                )
            ):
                runner.slice *= 2
        self._collect(runner)

    def _process_parting(
        self, runner: Runner | InstanceGroup, input_name: str | None, source: Batch
    ) -> float:
        batch: Any = source
        if isinstance(runner, Runner) and runner.marks:
            batch = source if isinstance(source, list) else list(source)
            if not self._calling and (input_name is not None or batch is not source):
                self._parting = runner, input_name, batch, source
        try:
            return runner.process(input_name, batch)
        finally:
            self._parting = None

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

    def flush_log(self) -> None:
        """Send what threads of PEs have logged; a mapping calls this where it waits, and at last.

        In between it is sent with everything else.
        """
        if self._lines:
            self._lines.flush()

    def end_log(self) -> None:
        """Show in this process what threads of PEs log from now on, when the run is over."""
        if self._lines is not None:
            self._lines.end()

    def _unwind(self) -> BaseException:
        """What to raise once the run has failed, whatever the PEs in mid-call made of it."""
        assert self._failure is not None
        # It keeps the error itself, so that no bare `except:` of a PE swallows it.
        return Unwind() if self._calling else self._failure

    def _on_written(self, runner: Runner) -> None:
        """In the middle of a call: run on what was written so far."""
        if self._failure is not None:
            raise Unwind
        if len(self._calling) < self._limits.nested_calls:
            self._run_on(runner)

    def _on_thread_written(self, runner: Runner) -> bool:
        """In the middle of a call: run on what threads of the PE have written or logged."""
        if self._lines:
            self._lines.flush()
        if any(runner.written.values()) or (self._has_unsent is not None and self._has_unsent()):
            self._on_written(runner)
        return self._has_unsent is not None and self._has_unsent()

    def _on_stuck(self, caller: int) -> None:
        if self._failure is not None:
            abort_call(self._failure, caller)

    def _run_on(self, runner: Runner) -> None:
        self._parting = None
        self._calling.append(runner)
        outer_floor, self._floor = self._floor, len(self._stack)
        try:
            self._collect(runner)
            while not self.drain():
                pass  # the call that wrote these items cannot be left in the middle
            if self._on_batch_end is not None:
                self._on_batch_end()
        except BaseException as error:
            if self._failure is None:
                self._failure = error
            raise Unwind from None
        finally:
            self._floor = outer_floor
            self._calling.pop()

    def _collect(
        self, runner: Runner | InstanceGroup, numbers: Sequence[int] | None = None
    ) -> None:
        """Take what an instance wrote and put it on its way; so many items of each output."""
        works: list[_Work] = []
        for i, (output, written, counter, outlets) in enumerate(self._outlets[runner]):
            # In a call its threads may go on writing: they append, and what is first stays so.
            items = written[:] if numbers is None else written[: numbers[i]]
            if not items:
                continue
            if numbers is None:
                each = counter.bytes // len(items)
                counter.bytes = 0
            else:
                each = counter.bytes // len(written)
                counter.bytes -= each * len(items)
            self.item_bytes = SMALL_BYTES + each
            del written[: len(items)]
            if runner.replay.sent is not None:
                items = runner.replay.to_send(output, items)
                if not items:
                    continue
            if not outlets:
                self._exits.result(runner.planned.id, output, items)
                continue
            for outlet in outlets:
                batch = items if outlet.take is None else outlet.take(items)
                if not batch:  # nothing but voids, on a way that needs none
                    continue
                if self._in_teams and len(outlet.receivers) > 1:
                    works.append((self._team(outlet.pe), outlet.input, list(outlet.split(batch))))
                    continue
                for instance, part in outlet.split(batch):
                    receiver = outlet.receivers[instance]
                    if receiver is None or self._is_local is not None:
                        receiver = self._local(outlet, instance)
                        if receiver is None:
                            self._exits.send(outlet.pe, instance, outlet.input, part)
                            continue
                    works.append((receiver, outlet.input, part))
        if len(works) > 1:
            works.reverse()
            if self._is_local is not None:
                # So that nothing that waits is ever further down the graph than what is done.
                works.sort(key=self._position_of)
        self._stack += works

    def _team(self, pe: int) -> InstanceGroup:
        team = self._teams.get(pe)
        if team is None:
            instances = range(self.plan.pes[pe].instances)
            team = self._teams[pe] = InstanceGroup(
                [self.start(pe, instance) for instance in instances]
            )
            self._outlets[team] = self._outlets[team.runners[0]]
        return team

    def _position_of(self, work: _Work) -> int:
        return self._position[work[0].planned.index]

    def _local(self, outlet: _Outlet, instance: int) -> Runner | None:
        """The receiver if it lives here, now."""
        if self._is_local is not None and not self._is_local(outlet.pe, instance):
            return None
        receiver = outlet.receivers[instance] or self.start(outlet.pe, instance)
        outlet.receivers[instance] = receiver
        return receiver

    def _make_outlets(self, routes: Sequence[Route], runner: Runner) -> list[_Outlet]:
        outlets = []
        for branch, route in enumerate(routes):
            receiver = self.plan.pes[route.destination]
            make = Router if route.path < 0 else OrderedRouter
            router = make(
                route,
                receiver.instances,
                runner.instance,
                self._copier,
                runner.fail,
                self._in_teams,
                receiver.id,
            )
            outlets.append(_Outlet(router, _taker(routes, branch, self._copier)))
        return outlets


#: An output: its name, what was written to it, how large that is, and its ways.
_Output = tuple[str, list[Any], ByteCounter, "list[_Outlet]"]
#: Makes of the items of an output those that go one of its ways.
_Take = Callable[[list[Any]], list[Any]]


def _taker(routes: Sequence[Route], branch: int, copier: Copier) -> _Take | None:
    """See `_Outlet.take`.

    The last way takes the items themselves, the others take copies; nobody else can have touched
    them yet.
    """
    is_last = branch == len(routes) - 1
    if any(route.path >= 0 for route in routes):
        if len(routes) == 1:
            return None  # the places were given with this way
        keep = share_item if is_last else copier
        if routes[branch].path < 0:
            return lambda items: copy_items(places.without_places(items), keep)
        return partial(take_path, path=routes[branch].path, copier=keep)
    if not any(route.with_ids for route in routes):
        return None if is_last else partial(copy_items, copier=copier)
    if not routes[branch].with_ids:
        return bare if is_last else lambda items: copy_items(bare(items), copier)
    if len(routes) == 1:
        return None
    return partial(fork_items, branch=branch, copier=share_item if is_last else copier)


class _Outlet:
    """The way of one instance's items along one route.

    Attributes:
        split: see `Router`.
        pe: number of the receiving PE.
        input: name of its input.
        receivers: those of its instances that were met here.
        take: see `_Take`; None where they are the items as they were written.
    """

    def __init__(self, router: Router, take: _Take | None) -> None:
        self.split = router.split
        self.pe = router.route.destination
        self.input = router.route.input
        self.receivers: list[Runner | None] = [None] * router.instances
        self.take = take
