"""Mappings that break a rule each, on purpose: a suite that passes them would be worth nothing.

`Sound` is a whole mapping in this process, taken apart into steps; each of the others has one step
that is wrong, the way a mistake would make it wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import subprocess
import sys
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from copy import copy, deepcopy
from dataclasses import replace
from io import TextIOWrapper
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any, ClassVar

from dispel4py import WorkflowGraph
from dispel4py.engine.capabilities import Capabilities, refusal
from dispel4py.engine.copying import Copier, copy_item, share_item
from dispel4py.engine.executor import Executor
from dispel4py.engine.grouping import group_key
from dispel4py.engine.inputs import CallRange, calls, root_inputs
from dispel4py.engine.ordered.places import EmptyPlace
from dispel4py.engine.plan import GROUP_BY, SHUFFLE, Grouping, Plan, grouping_of, make_plan
from dispel4py.engine.runner import raise_error
from dispel4py.errors import ProcessingError, RunError, UnsupportedGraphError
from dispel4py.result import Failure, ResultCollector, RunOptions, RunResult, RunStats

#: Which of the items that are sent is dropped or sent twice.
ODD_ITEM = 50
#: How often a run says how far it has come, in seconds.
REPORT_SECONDS = 0.2
#: How long nothing has to come for a run to be taken for over.
IDLE_SECONDS = 3.5
#: How many bytes of items may look as if they were gathered.
MOST_HELD_BYTES = 4 << 20


class Sound:
    """Keeps every rule, one run at a time."""

    name = "sound"
    capabilities = Capabilities(stateful=True, group_by=True, broadcast=True, ordered=True)
    #: Beside those that `run` gives.
    executor_options: ClassVar[dict[str, Any]] = {}

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """It has no options of its own."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.registry.Mapping`."""
        started_at = self.reported_at = time.perf_counter()
        self.plan = plan = self.planned(make_plan(graph, options))
        given = root_inputs(plan, inputs)
        isolate = share_item if options.share_items else self.isolate()
        self.options = options
        self.results = ResultCollector(options.on_result)
        self.failures: list[Failure] = []

        def stats() -> RunStats:
            seconds = time.perf_counter() - started_at
            instances = self.executor.stats
            return RunStats(self.name, seconds=seconds, instances=instances, seed=plan.seed)

        def between() -> bool:
            if time.perf_counter() - self.reported_at > REPORT_SECONDS:
                self.reported_at = time.perf_counter()
                self.report(stats())
            return False

        self.executor = Executor(
            plan,
            self,
            is_local=_nowhere,
            copier=isolate,
            on_error=self.failed,
            on_batch_end=between,
            **self.executor_options,
        )
        instances = [(pe, i) for pe in plan.order for i in range(plan.pes[pe].instances)]
        for pe, instance in reversed(instances):
            self.start(pe, instance)
        for root, value in given.items():
            self.call(root, calls(plan.pes[root], value, isolate))
        for pe, instance in instances:
            self.finish(pe, instance)
        self.end()
        return RunResult(self.results.outputs, self.failures, stats())

    def report(self, stats: RunStats) -> None:
        """Show how far the run has come."""
        if self.options.on_progress is not None:
            self.options.on_progress(stats)

    def call(self, root: int, items: Iterator[dict[str, Any]]) -> None:
        """Call a root."""
        while self.executor.call_root(root, items):
            pass

    def planned(self, plan: Plan) -> Plan:
        """The plan to run, unless it is refused."""
        refused = refusal(plan, self.capabilities)
        if refused is not None:
            raise UnsupportedGraphError(refused)
        return plan

    def isolate(self) -> Copier:
        """What copies items."""
        return copy_item

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        """Carry items to an instance."""
        self.executor.push(pe, instance, input_name, items)

    def result(self, pe_id: str, output: str, items: list[Any]) -> None:
        """Take results."""
        self.results.add(pe_id, output, items)

    def failed(self, error: ProcessingError, item: Any) -> None:
        """Deal with an exception of a PE."""
        if self.options.on_error == "stop":
            raise_error(error, item)
        self.failures.append(Failure(error, item))

    def start(self, pe: int, instance: int) -> None:
        """Preprocess an instance."""
        self.executor.start(pe, instance)

    def finish(self, pe: int, instance: int) -> None:
        """Postprocess an instance."""
        self.executor.finish(pe, instance)

    def end(self) -> None:
        """End the run."""


def _nowhere(pe: int, instance: int) -> bool:
    """So that all that is sent goes through `Sound.send`."""
    return False


class DeclaresNothing(Sound):
    """Is sound, and can do no more than the least."""

    name = "declares_nothing"

    capabilities = Capabilities(lifecycle=False, any_pickle=True, bounded_memory=False)


class WantsRootsOnly(Sound):
    """Refuses inputs that name something beside the roots."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        if isinstance(inputs, Mapping):
            for key in inputs:
                root_inputs(make_plan(graph), {key: 0})
        return super().run(graph, inputs, options)


class DropsAnItem(Sound):
    """Loses one item in a run."""

    sent = 0

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        place = ODD_ITEM - self.sent
        self.sent += len(items)
        if 0 <= place < len(items):
            items = self.instead(items, place)
        super().send(pe, instance, input_name, items)

    def instead(self, items: list[Any], place: int) -> list[Any]:
        """What is sent instead of these items."""
        return items[:place] + items[place + 1 :]


class DuplicatesAnItem(DropsAnItem):
    """Sends one item twice in a run."""

    def instead(self, items: list[Any], place: int) -> list[Any]:
        return [*items, items[place]]


class DealsACallTwice(Sound):
    """Deals independent calls in pieces, each of which begins with the last call of another."""

    def call(self, root: int, items: Iterator[dict[str, Any]]) -> None:
        if not self.plan.pes[root].has_independent_calls:
            super().call(root, items)
            return
        for piece in self.pieces([*items]):
            left = piece
            while left:
                left = self.executor.call_range(root, 0, left)

    def pieces(self, made: list[dict[str, Any]]) -> Iterator[CallRange]:
        """The pieces."""
        for first in range(0, len(made), ODD_ITEM):
            yield CallRange(first, made[first : first + ODD_ITEM + 1])


class DropsTheLastCalls(DealsACallTwice):
    """Deals them in pieces of one size, and forgets what is left."""

    def pieces(self, made: list[dict[str, Any]]) -> Iterator[CallRange]:
        for first in range(0, len(made) - ODD_ITEM, ODD_ITEM):
            yield CallRange(first, made[first : first + ODD_ITEM])


class NumbersCallsByPiece(DealsACallTwice):
    """Counts the calls of each piece from 0, so that different ones have the same id."""

    def pieces(self, made: list[dict[str, Any]]) -> Iterator[CallRange]:
        for first in range(0, len(made), ODD_ITEM):
            yield CallRange(0, made[first : first + ODD_ITEM])


class LastEdgeOnly(Sound):
    """Sends what goes along several edges along the last one alone."""

    def planned(self, plan: Plan) -> Plan:
        plan = super().planned(plan)
        pes = [
            replace(pe, routes={name: routes[-1:] for name, routes in pe.routes.items()})
            for pe in plan.pes
        ]
        return replace(plan, pes=tuple(pes))


class IgnoresGroupings(Sound):
    """Deals items out as if no input were grouped."""

    def planned(self, plan: Plan) -> Plan:
        plan = super().planned(plan)
        shuffle = Grouping(SHUFFLE)
        pes = [
            replace(
                pe,
                routes={
                    name: tuple(replace(route, grouping=shuffle) for route in routes)
                    for name, routes in pe.routes.items()
                },
            )
            for pe in plan.pes
        ]
        return replace(plan, pes=tuple(pes))


class UnstableHash(Sound):
    """Chooses by `hash`, which differs between processes."""

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        planned = self.plan.pes[pe]
        grouping = grouping_of(planned.pe, input_name)
        if grouping.kind != GROUP_BY:
            super().send(pe, instance, input_name, items)
            return
        for item in items:
            chosen = self.hash_of(group_key(item, grouping.keys)) % planned.instances
            super().send(pe, chosen, input_name, [item])

    def hash_of(self, key: Any) -> int:
        """What an instance is chosen by."""
        return hash(key)


class TakesKeysForPlain(IgnoresGroupings, UnstableHash):
    """Chooses by what a key looks like, by whatever rule it compares."""

    def hash_of(self, key: Any) -> int:
        return zlib.crc32(repr(key).encode())


class ReversesItems(Sound):
    """Hands each batch on in the wrong order."""

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        super().send(pe, instance, input_name, items[::-1])


class IgnoresOrder(Sound):
    """Lets items arrive as they come: what one of several instances got is done at the end."""

    def planned(self, plan: Plan) -> Plan:
        self.later: list[tuple[int, int, str, list[Any]]] = []
        plan = super().planned(plan)
        pes = [
            replace(
                pe,
                ordered=(),
                has_places=False,
                routes={
                    name: tuple(replace(route, path=-1, ordered=False) for route in routes)
                    for name, routes in pe.routes.items()
                },
            )
            for pe in plan.pes
        ]
        return replace(plan, pes=tuple(pes))

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        if self.plan.pes[pe].instances > 1 and instance == 0:
            self.later.append((pe, instance, input_name, items))
        else:
            super().send(pe, instance, input_name, items)

    def finish(self, pe: int, instance: int) -> None:
        later = [sent for sent in self.later if sent[0] == pe]
        self.later = [sent for sent in self.later if sent[0] != pe]
        for sent in later:
            self.executor.push(*sent)
            self.executor.drain()
        super().finish(pe, instance)


class DropsVoids(Sound):
    """Carries items in their order, and not what tells that there is none."""

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        super().send(
            pe, instance, input_name, [item for item in items if type(item) is not EmptyPlace]
        )


class LosesIdentity(Sound):
    """Carries PEs by a plain pickle, from which no string comes back as the one that it was."""

    def planned(self, plan: Plan) -> Plan:
        plan = super().planned(plan)
        pes = [replace(pe, pe=pickle.loads(pickle.dumps(pe.pe))) for pe in plan.pes]
        return replace(plan, pes=tuple(pes))


class CopiesThePlan(Sound):
    """Has a copy of all PEs for each instance, and keeps them."""

    def planned(self, plan: Plan) -> Plan:
        plan = super().planned(plan)
        self.copies = [deepcopy(plan) for _ in plan.pes]
        return plan


class OpensFilesAgain(Sound):
    """Takes a file for its name and its mode."""

    def planned(self, plan: Plan) -> Plan:
        plan = super().planned(plan)
        pes = []
        for planned in plan.pes:
            pe = copy(planned.pe)
            for name, value in vars(pe).items():
                if isinstance(value, TextIOWrapper):
                    with open(value.name, value.mode) as again:
                        setattr(pe, name, again.name)
            pes.append(replace(planned, pe=pe))
        return replace(plan, pes=tuple(pes))


class SharesItems(Sound):
    """Hands one object to several PEs."""

    def isolate(self) -> Copier:
        return share_item


class SharesBuffers(Sound):
    """Takes an array for its receiver's own, whoever else knows the buffer that it lies over."""

    def isolate(self) -> Copier:
        return lambda item: item if getattr(item, "base", None) is not None else copy_item(item)


class SharesFunctions(Sound):
    """Copies items by `copy.deepcopy`, which hands functions on as they are."""

    def isolate(self) -> Copier:
        return deepcopy


class KeepsReadOnly(Sound):
    """Copies items by pickle, which keeps a read-only array read-only."""

    def isolate(self) -> Copier:
        return lambda item: pickle.loads(pickle.dumps(item, protocol=5))


class JsonOnly(Sound):
    """Carries items as JSON, which has no tuples, no sets and no bytes."""

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        super().send(pe, instance, input_name, json.loads(json.dumps(items, default=str)))


class SwallowsExceptions(Sound):
    """Goes on with the next item and tells nobody."""

    def failed(self, error: ProcessingError, item: Any) -> None:
        pass


class HangsAfterAnException(Sound):
    """Waits for an answer of the PE that raised."""

    def failed(self, error: ProcessingError, item: Any) -> None:
        threading.Event().wait()


class SkipsPreprocess(Sound):
    """Begins without calling preprocess."""

    def start(self, pe: int, instance: int) -> None:
        self.executor.start(pe, instance, restored=deepcopy(self.plan.pes[pe].pe))


class SkipsPostprocess(Sound):
    """Ends without calling postprocess."""

    def finish(self, pe: int, instance: int) -> None:
        pass


class LeavesFilesOpen(Sound):
    """Ends without letting go of the instances."""

    def finish(self, pe: int, instance: int) -> None:
        self.executor.finish(pe, instance, close=False)


class CutsThreads(Sound):
    """Has a worker process that ends at the last result, whatever still runs there."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        return run_in_worker(graph, inputs, main=_work_and_go)


class UnboundedQueue(Sound):
    """Takes whatever a root sends before it processes any of it."""

    def planned(self, plan: Plan) -> Plan:
        self.queue: deque[tuple[int, int, str, list[Any]]] = deque()
        return super().planned(plan)

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        self.queue.append((pe, instance, input_name, items))

    def finish(self, pe: int, instance: int) -> None:
        self.empty()
        super().finish(pe, instance)
        self.empty()

    def empty(self) -> None:
        """Process all that waits."""
        while self.queue:
            self.executor.push(*self.queue.popleft())
            self.executor.drain()


class GuessesSizes(UnboundedQueue):
    """Gathers items until they look as if they were large."""

    held = 0

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        super().send(pe, instance, input_name, items)
        self.held += sum(map(sys.getsizeof, items))
        if self.held > MOST_HELD_BYTES:
            self.held = 0
            while self.queue:
                self.executor.push(*self.queue.popleft())


class EndsByIdleTime(Sound):
    """Takes the run for over when nothing has come for a while."""

    def end(self) -> None:
        time.sleep(IDLE_SECONDS)


class HangsAtTheEnd(Sound):
    """Waits for a worker that never ends."""

    def end(self) -> None:
        worker = subprocess.Popen([sys.executable, "-c", _HUNG_WORKER])
        worker.wait()


_HUNG_WORKER = """
import time

def wait_for_ever():
    while True:
        time.sleep(1)

wait_for_ever()
"""


class LeaksAProcess(Sound):
    """Leaves a process of a session of its own, so that no signal to the group would find it."""

    def end(self) -> None:
        self.worker = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(30)"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


class RefusesNothing(DeclaresNothing):
    """Starts a graph that it does not declare to be able to run."""

    def planned(self, plan: Plan) -> Plan:
        return plan


class LeavesStateAlone(Sound):
    """Does not hand the options on to the plan, so that a strict run is none."""

    def planned(self, plan: Plan) -> Plan:
        return replace(super().planned(plan), strict=False)


class TellsNothingOfState(Sound):
    """Makes up statistics of its own, without what was noticed."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        result = super().run(graph, inputs, options)
        for entry in result.stats.instances:
            entry.changed = ()
        return result


class OneSeedForAll(Sound):
    """Gives every run the same seed."""

    def planned(self, plan: Plan) -> Plan:
        return replace(super().planned(plan), seed=0)


class SeedsByProcess(Sound):
    """Has instances draw from one generator, which depends on which of them comes first."""

    def start(self, pe: int, instance: int) -> None:
        super().start(pe, instance)
        runner = self.executor.start(pe, instance)
        runner._stream = self.executor.start(*self.first)._stream

    def planned(self, plan: Plan) -> Plan:
        self.first = plan.order[-1], 0
        return super().planned(plan)


class LosesWhatADeadWorkerHad(Sound):
    """Has a worker process; when that dies, what it had not finished is forgotten."""

    capabilities = replace(Sound.capabilities, survives_worker_death=True)

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        return run_in_worker(graph, inputs, lost=dict)


def _work(sender: Any, graph: WorkflowGraph, inputs: Any) -> None:
    sender.send(Sound().run(graph, inputs, RunOptions()).outputs)


def _work_and_go(sender: Any, graph: WorkflowGraph, inputs: Any) -> None:
    _work(sender, graph, inputs)
    os._exit(0)


def run_in_worker(
    graph: WorkflowGraph,
    inputs: Any,
    *,
    start_method: str = "spawn",
    main: Callable[[Any, WorkflowGraph, Any], None] = _work,
    stop: Callable[[BaseProcess], None] = BaseProcess.kill,
    lost: Callable[[], dict[str, Any]] | None = None,
) -> RunResult:
    """Run a graph in a worker process.

    Args:
        graph: the graph.
        inputs: those of the run.
        start_method: how the worker is started.
        main: runs the graph in the worker, and sends the outputs.
        stop: ends the worker when this process is to stop.
        lost: gives the outputs if the worker is lost.

    Raises:
        RunError: the worker is lost.
    """
    context: Any = get_context(start_method)
    receiver, sender = context.Pipe(duplex=False)
    worker = context.Process(target=main, args=(sender, graph, inputs))
    worker.start()
    sender.close()
    try:
        outputs = receiver.recv()
    except EOFError:
        if lost is None:
            raise RunError("the worker has failed") from None
        outputs = lost()
    except BaseException:
        stop(worker)
        raise
    worker.join()
    return RunResult(outputs, [], RunStats(Sound.name))
