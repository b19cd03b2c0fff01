"""The mappings `dyn_multi` and `dyn_auto_multi`.

Workers are processes of this machine; tasks are queued in the driver's memory, which workers reach
by RPC.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from multiprocessing.connection import Connection
from typing import Any

from d4py_dynamic.mappings.autoscaled import AutoscaledMapping
from d4py_dynamic.mappings.base import DynamicMapping
from d4py_dynamic.store.memory.rpc import StoreClient, StoreServer
from d4py_dynamic.store.memory.run_store import InMemoryRunStore
from d4py_dynamic.store.memory.store import InMemoryStore
from d4py_dynamic.store.memory.task_store import InMemoryTaskStore
from d4py_dynamic.store.shared_heap import make_heap_file
from d4py_dynamic.store.task_pickles import codec_with
from d4py_dynamic.worker.spec import WorkerSpec
from dispel4py.engine.planning.capabilities import Capabilities
from dispel4py.engine.planning.plan import Plan
from dispel4py.processes.workers.frozen_watch import add_frozen_argument
from dispel4py.processes.workers.process import WorkerContext
from dispel4py.result import RunOptions
from dispel4py.shared_memory.arena_file import ArenaFile


class InMemoryBackend:
    """Tasks in the driver's memory; see `Backend`.

    Args:
        plan: the plan.
        spec: what every worker is started with.
    """

    def __init__(self, plan: Plan, spec: WorkerSpec) -> None:
        self._spec = spec
        self._heap = make_heap_file()
        store = InMemoryStore(len(plan.pes))
        self.store = InMemoryRunStore(store, plan, codec_with(self._heap))
        self._server = StoreServer(store)

    def open_store(self) -> InMemoryRunStore:
        return self.store

    def worker_arguments(self, rank: int) -> tuple[Any, ...]:
        return self._server.connect(rank), rank, self._spec, self._heap

    @staticmethod
    def worker_main(
        context: WorkerContext,
        connection: Connection,
        rank: int,
        spec: WorkerSpec,
        heap: ArenaFile | None,
    ) -> None:
        with connection:
            spec.serve(InMemoryTaskStore(StoreClient(connection), codec_with(heap)), rank)

    def on_workers_started(self) -> None:
        self._server.serve()

    def on_run_started(self, feeding: list[int]) -> None:
        """Do nothing: a run in memory cannot outlive its driver."""

    def watched(self, options: RunOptions) -> AbstractContextManager[RunOptions]:
        """Return the options as they are: no other process reaches the memory of the driver."""
        return nullcontext(options)

    def close(self) -> None:
        """Delete the run, and stop the server."""
        self.store.delete()
        self._server.close()
        if self._heap is not None:
            self._heap.close()


class DynMultiMapping(DynamicMapping):
    """Runs a graph of stateless PEs with workers that share all of them."""

    name = "dyn_multi"
    capabilities = Capabilities(survives_worker_death=True, shares_calls=True)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Mapping`."""
        super().add_arguments(parser)
        add_frozen_argument(parser)

    @contextmanager
    def backend(
        self, plan: Plan, spec: WorkerSpec, options: RunOptions
    ) -> Iterator[InMemoryBackend]:
        with closing(InMemoryBackend(plan, spec)) as backend:
            yield backend


class DynAutoMultiMapping(AutoscaledMapping, DynMultiMapping):
    """Runs what dyn_multi runs; workers rest while there is little to do."""

    name = "dyn_auto_multi"
    old_strategy = "queue", "tasks that may be queued (10)", "--queue_threshold"
