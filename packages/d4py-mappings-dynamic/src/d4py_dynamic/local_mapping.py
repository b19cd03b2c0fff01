"""The mappings `dyn_multi` and `dyn_auto_multi`: workers of this machine, tasks in the driver."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from d4py_dynamic.broker import Broker, Caller
from d4py_dynamic.mapping import DynamicMapping, Scales, Terms
from d4py_dynamic.table import Table
from d4py_dynamic.table_store import TableRunStore, TableTaskStore
from dispel4py.heartbeat import add_frozen_argument
from dispel4py.plan import Plan
from dispel4py.processes import WorkerSide
from dispel4py.registry import Capabilities
from dispel4py.result import RunOptions


class LocalBackend:
    """See `Backend`.

    Args:
        plan: the plan.
        terms: what workers are started with.
    """

    def __init__(self, plan: Plan, terms: Terms) -> None:
        self._terms = terms
        table = Table(len(plan.pes))
        self.store = TableRunStore(table, plan)
        self.broker = Broker(table)

    def another_store(self) -> TableRunStore:
        return self.store

    def orders(self, rank: int) -> tuple[Any, ...]:
        return self.broker.line(rank), rank, self._terms

    @staticmethod
    def work(side: WorkerSide, line: Connection, rank: int, terms: Terms) -> None:
        """See `Backend`."""
        with line:
            terms.serve(TableTaskStore(Caller(line)), rank)

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
    def backend(self, plan: Plan, terms: Terms, options: RunOptions) -> Iterator[LocalBackend]:
        backend = LocalBackend(plan, terms)
        try:
            yield backend
        finally:
            backend.store.delete()
            backend.broker.close()


class DynAutoMultiMapping(Scales, DynMultiMapping):
    """The same, with as many workers active as there is work for."""

    name = "dyn_auto_multi"
    old_strategy = "queue", "tasks that may wait (10)", "--queue_threshold"
