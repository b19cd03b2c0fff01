"""The executor: runs the instances that live in this process and hands items between them.

Work waits on a stack, so items are followed down the graph before more are made, whatever the
depth and without recursion; memory holds one batch per stage.  What leaves the process goes to
`Exits`.  Every mapping stands on it: `simple` keeps all instances here, a rank or a worker of a
parallel mapping keeps some.

Where items can reach a place by two ways (`Plan.order_matters`) they travel one by one, depth
first, so that the order of results does not depend on how batches were cut.  Elsewhere they travel
in batches that take about `SLICE_SECONDS` to process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from operator import itemgetter
from typing import Any, Protocol

from dispel4py.isolation import Isolate, copy_item
from dispel4py.plan import GROUP_BY, Plan, Route
from dispel4py.result import InstanceStats
from dispel4py.routing import Router, copy_items
from dispel4py.runner import Log, OnError, Runner, raise_error

#: Most items in a batch.
CHUNK = 1024
#: A batch should keep a PE busy no longer than this, so that slow items move on one by one.
SLICE_SECONDS = 0.005
#: How many PEs may be in the middle of a call at once while others run on what they wrote.
DEEPEST_NESTING = 40


class Exits(Protocol):
    """Where items go that do not stay in this process."""

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        """Carry items to an instance that lives elsewhere."""

    def result(self, pe_id: str, output: str, items: list[Any]) -> None:
        """Hand results to the caller of the run."""


class _Unwind(BaseException):  # noqa: N818 - not an error of its own
    """Carries an error through the calls of PEs that are still on the stack.

    Not an `Exception`, so that no ``except Exception`` in a PE can swallow it.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error


class Executor:
    """Runs the local instances of a plan.

    Args:
        plan: the plan.
        exits: where the rest goes.
        is_local: says whether (PE number, instance) lives here; None if all do.
        rank: number of this process.
        isolate: copies what a PE writes.
        on_error: see `dispel4py.runner.OnError`.
        log: gets what PEs log.
        between: called between batches, about every `SLICE_SECONDS` or sooner; True makes
            `drain` return although items wait.
        one_by_one: items travel one at a time; None asks the plan.
    """

    def __init__(
        self,
        plan: Plan,
        exits: Exits,
        *,
        is_local: Callable[[int, int], bool] | None = None,
        rank: int = 0,
        isolate: Isolate = copy_item,
        on_error: OnError = raise_error,
        log: Log | None = None,
        between: Callable[[], bool] | None = None,
        one_by_one: bool | None = None,
    ) -> None:
        self.plan = plan
        self._exits = exits
        self._is_local = is_local
        self._rank = rank
        self._isolate = isolate
        self._on_error = on_error
        self._log = log
        self._between = between
        self._one_by_one = plan.order_matters if one_by_one is None else one_by_one
        self._runners: dict[tuple[int, int], Runner] = {}
        self._outlets: dict[Runner, list[tuple[str, list[Any], list[_Outlet]]]] = {}
        self._stack: list[list[Any]] = []
        self._floor = 0
        self._nesting = 0

    @property
    def in_call(self) -> bool:
        """A PE is in the middle of a call, so what happens now happens inside its `write`."""
        return self._nesting > 0

    @property
    def stats(self) -> list[InstanceStats]:
        """What each local instance has done so far."""
        return [stats for _, stats in self.stats_by_pe()]

    def stats_by_pe(self) -> list[tuple[int, InstanceStats]]:
        """The same with the numbers of the PEs."""
        return [(pe, runner.stats) for (pe, _), runner in sorted(self._runners.items(), key=itemgetter(0))]

    def start(self, pe: int, instance: int) -> Runner:
        """The runner of a local instance; made, and its PE preprocessed, at the first call."""
        runner = self._runners.get((pe, instance))
        if runner is None:
            planned = self.plan.pes[pe]
            runner = Runner(
                planned,
                instance,
                self._on_written,
                rank=self._rank,
                isolate=self._isolate,
                on_error=self._on_error,
                log=self._log,
                chunk=1 if self._one_by_one else CHUNK,
            )
            self._runners[pe, instance] = runner
            self._outlets[runner] = [
                (output, runner.written[output], [self._outlet(route, runner) for route in routes])
                for output, routes in planned.routes.items()
            ]
            self._guarded(runner.preprocess)
            self._collect(runner)
        return runner

    def push(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        """Give a local instance items; they are processed by `drain`."""
        self._stack.append([self.start(pe, instance), input_name, items, 0])

    def call_root(self, pe: int, calls: Iterator[dict[str, Any]]) -> bool:
        """Call a root for about one slice, and run everything local that follows from it.

        Returns:
            False when `calls` is exhausted.
        """
        runner = self.start(pe, 0)
        size = runner.slice
        batch = list(islice(calls, size))
        if batch:
            self._process(runner, None, batch)
            self.drain()
        return len(batch) == size

    def finish(self, pe: int, instance: int) -> None:
        """Postprocess a local instance, and run everything local that follows from it."""
        runner = self.start(pe, instance)
        self._guarded(runner.postprocess)
        self._collect(runner)
        self.drain()

    def drain(self) -> bool:
        """Process all local items, down to the end of every local path.

        Returns:
            False if `between` stopped it.

        Raises:
            ProcessingError: a PE raised, and `on_error` says to stop.
        """
        stack = self._stack
        floor = self._floor
        while len(stack) > floor:
            work = stack[-1]
            runner, input_name, items, position = work
            end = position + runner.slice
            if end >= len(items):
                stack.pop()
                self._process(runner, input_name, items[position:] if position else items)
            else:
                work[3] = end
                self._process(runner, input_name, items[position:end])
            if self._between is not None and self._between():
                return False
        return True

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave what waits now alone: `drain` inside runs only what is pushed inside."""
        outer_floor, self._floor = self._floor, len(self._stack)
        try:
            yield
        finally:
            self._floor = outer_floor

    def take_waiting(self, keep: Callable[[int], bool]) -> list[tuple[int, int, str, list[Any]]]:
        """Take the items that wait, oldest first, as (PE number, instance, input, items).

        Args:
            keep: says which PEs' items stay.
        """
        taken: list[tuple[int, int, str, list[Any]]] = []
        kept: list[list[Any]] = []
        for work in self._stack[self._floor :]:
            runner, input_name, items, position = work
            pe = runner.planned.index
            if keep(pe):
                kept.append(work)
            else:
                taken.append((pe, runner.instance, input_name, items[position:]))
        self._stack[self._floor :] = kept
        return taken

    def _process(self, runner: Runner, input_name: str | None, batch: list[Any]) -> None:
        try:
            seconds = runner.process(input_name, batch)
        except _Unwind as unwind:
            if self._nesting:
                raise
            raise unwind.error from unwind.error.__cause__
        self._collect(runner)
        if not self._one_by_one:
            if seconds > SLICE_SECONDS:
                runner.slice = max(1, int(len(batch) * SLICE_SECONDS / seconds))
            elif seconds < SLICE_SECONDS / 2 and runner.slice < CHUNK:
                runner.slice *= 2

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except _Unwind as unwind:
            if self._nesting:
                raise
            raise unwind.error from unwind.error.__cause__

    def _on_written(self, runner: Runner) -> None:
        """In the middle of a call: run on what was written so far."""
        if self._nesting >= DEEPEST_NESTING:
            return
        self._nesting += 1
        outer_floor, self._floor = self._floor, len(self._stack)
        try:
            self._collect(runner)
            while not self.drain():
                pass  # the call that wrote these items cannot be left in the middle
        except Exception as error:
            raise _Unwind(error) from None
        finally:
            self._floor = outer_floor
            self._nesting -= 1

    def _collect(self, runner: Runner) -> None:
        """Take what an instance wrote and put it on its way."""
        works: list[list[Any]] = []
        for output, written, outlets in self._outlets[runner]:
            if not written:
                continue
            items = written[:]
            written.clear()
            if not outlets:
                self._exits.result(runner.planned.id, output, items)
                continue
            last = len(outlets) - 1
            for i, outlet in enumerate(outlets):
                # The last takes the items themselves; nobody else can have touched them yet.
                batch = items if i == last else copy_items(items, self._isolate)
                if outlet.only is not None and (
                    self._is_local is None or self._is_local(outlet.pe, 0)
                ):
                    works.append([outlet.only, outlet.input, batch, 0])
                else:
                    self._split(outlet, batch, works)
        if len(works) > 1:
            works.reverse()
        self._stack += works

    def _split(self, outlet: _Outlet, batch: list[Any], works: list[list[Any]]) -> None:
        for instance, part in outlet.router.split(batch):
            if self._is_local is None or self._is_local(outlet.pe, instance):
                works.append([self.start(outlet.pe, instance), outlet.input, part, 0])
                if outlet.may_be_only:
                    outlet.only = works[-1][0]
            else:
                self._exits.send(outlet.pe, instance, outlet.input, part)

    def _outlet(self, route: Route, runner: Runner) -> _Outlet:
        instances = self.plan.pes[route.destination].instances
        return _Outlet(
            Router(route, instances, runner.instance, self._isolate, runner.fail),
            may_be_only=instances == 1 and route.grouping.kind != GROUP_BY,
        )


class _Outlet:
    """The way of one instance's items along one route; remembers a receiver that gets them all."""

    def __init__(self, router: Router, may_be_only: bool) -> None:
        self.router = router
        self.pe = router.route.destination
        self.input = router.route.input
        self.may_be_only = may_be_only
        self.only: Runner | None = None
