"""The mappings `dyn_multi` and `dyn_auto_multi`: workers of this machine, tasks in the driver."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from d4py_dynamic.mappings.base import DynamicMapping, Scales
from d4py_dynamic.store.memory.rpc import StoreClient, StoreServer
from d4py_dynamic.store.memory.stores import InMemoryRunStore, InMemoryTaskStore
from d4py_dynamic.store.memory.table import InMemoryStore
from d4py_dynamic.worker.spec import WorkerSpec
from dispel4py.engine.capabilities import Capabilities
from dispel4py.engine.plan import Plan
from dispel4py.processes.heartbeat import add_frozen_argument
from dispel4py.processes.pool import WorkerContext
from dispel4py.result import RunOptions


class LocalBackend:
    """See `Backend`.

    Args:
        plan: the plan.
        spec: what workers are started with.
    """

    def __init__(self, plan: Plan, spec: WorkerSpec) -> None:
        self._spec = spec
        table = InMemoryStore(len(plan.pes))
        self.store = InMemoryRunStore(table, plan)
        self.broker = StoreServer(table)

    def another_store(self) -> InMemoryRunStore:
        return self.store

    def orders(self, rank: int) -> tuple[Any, ...]:
        return self.broker.line(rank), rank, self._spec

    @staticmethod
    def work(side: WorkerContext, line: Connection, rank: int, spec: WorkerSpec) -> None:
        """See `Backend`."""
        with line:
            spec.serve(InMemoryTaskStore(StoreClient(line)), rank)

    def started(self) -> None:
        self.broker.serve()

    def begun(self, feeding: list[int]) -> None:
        """See `Backend`; what is here ends with the driver."""


class DynMultiMapping(DynamicMapping):
    """Runs a graph of stateless PEs with workers that share all of them."""

    name = "dyn_multi"
    capabilities = Capabilities(survives_worker_death=True, shares_calls=True)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Mapping`."""
        super().add_arguments(parser)
        add_frozen_argument(parser)

    @contextmanager
    def backend(self, plan: Plan, spec: WorkerSpec, options: RunOptions) -> Iterator[LocalBackend]:
        backend = LocalBackend(plan, spec)
        try:
            yield backend
        finally:
            backend.store.delete()
            backend.broker.close()


class DynAutoMultiMapping(Scales, DynMultiMapping):
    """The same, with as many workers active as there is work for."""

    name = "dyn_auto_multi"
    old_strategy = "queue", "tasks that may wait (10)", "--queue_threshold"
