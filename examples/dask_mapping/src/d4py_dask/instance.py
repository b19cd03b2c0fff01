"""The side of the workers: an instance of a PE as a Dask actor."""

from __future__ import annotations

import os
from typing import Any

from dispel4py.mapping import (
    Executor,
    Failure,
    InstanceStats,
    Meter,
    MeterReport,
    PlanBundle,
    ProcessingError,
    WorkerCodec,
    copy_item,
    picklable_error,
    raise_error,
    share_item,
)

#: Objects travel as bytes of ours: Dask is not to look into them.
CODEC = WorkerCodec("dill")

#: Number of a PE, instance, input, items.
Sent = tuple[int, int, str, list[Any]]
#: Id of a PE, output, items.
Result = tuple[str, str, list[Any]]
#: Id of a PE, rank, message.
Logged = tuple[str, int, str]
#: What came of a call: what was sent, results, failures, what was logged, what observers get.
Outcome = tuple[list[Sent], list[Result], list[Failure], list[Logged], list[MeterReport]]


class Instance:
    """An instance at work.  Each method gives the bytes of an `Outcome`, or of an error.

    Args:
        bundle: the plan.
        pe: number of its PE.
        instance: number of the instance.
        rank: number among all instances.
        on_error: see `dispel4py.run`.
        share_items: see `dispel4py.run`.
        observed: whether anybody observes the run.
    """

    def __init__(
        self,
        bundle: PlanBundle,
        pe: int,
        instance: int,
        rank: int,
        on_error: str,
        share_items: bool,
        observed: bool,
    ) -> None:
        self._me = pe, instance
        self._calls = 0
        self._taken: Outcome = ([], [], [], [], [])
        self._stops = on_error == "stop"
        plan = bundle.load(CODEC)
        self._meter = Meter(plan, rank, self._report) if observed else None
        self._executor = Executor(
            plan,
            self,
            is_local=lambda *other: other == self._me,
            rank=rank,
            copier=share_item if share_items else copy_item,
            on_error=self._failed,
            log=self._log,
            meter=self._meter,
        )

    def process_id(self) -> int:
        """Number of the process that the instance lives in."""
        return os.getpid()

    def call(self, number: int, what: str, data: bytes) -> bytes | None:
        """One step of its life.

        Args:
            number: of this call, from 0.
            what: ``"start"``, ``"call"`` a root, ``"process"`` or ``"finish"``.
            data: what to do it with, pickled.

        Returns:
            None if this instance has not seen the calls before this one: Dask has made it anew
            after its worker was lost.
        """
        if number != self._calls:
            return None
        self._calls += 1
        try:
            getattr(self, f"_{what}")(*CODEC.loads(data))
            self._executor.flush_log()
            if self._meter is not None:
                self._meter.wait()
            outcome = CODEC.dumps((None, self._taken))
        except BaseException as error:  # the driver raises it
            outcome = CODEC.dumps((picklable_error(error), None))
        self._taken = ([], [], [], [], [])
        return outcome

    def stats(self) -> list[InstanceStats]:
        """What it has done."""
        return self._executor.stats

    def _start(self) -> None:
        self._executor.start(*self._me)

    def _call(self, calls: list[dict[str, Any]]) -> None:
        iterator = iter(calls)
        while self._executor.call_root(self._me[0], iterator):
            pass

    def _process(self, batches: list[tuple[str, list[Any]]]) -> None:
        for input_name, items in batches:
            self._executor.push(*self._me, input_name, items)
            self._executor.drain()

    def _finish(self) -> None:
        self._executor.finish(*self._me)
        if self._meter is not None:
            self._meter.finish()

    def _failed(self, error: ProcessingError, item: Any) -> None:
        if self._stops:
            raise_error(error, item)
        self._taken[2].append(Failure(error, item))

    def _report(self, report: MeterReport) -> None:
        self._taken[4].append(report)

    def _log(self, pe_id: str, rank: int, message: str) -> None:
        self._taken[3].append((pe_id, rank, message))

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        """See `dispel4py.engine.executor.OutputHandler`."""
        self._taken[0].append((pe, instance, input_name, items))

    def result(self, pe_id: str, output: str, items: list[Any]) -> None:
        """See `dispel4py.engine.executor.OutputHandler`."""
        self._taken[1].append((pe_id, output, items))
