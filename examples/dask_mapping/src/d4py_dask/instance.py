"""`Instance`: an instance of a PE as a Dask actor.

The PE runs on a thread of its own, and what Dask calls are coroutines.  So an instance answers, and
its output is taken, in the middle of a call of the PE.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby
from math import isfinite
from operator import itemgetter
from typing import Any, NamedTuple
from weakref import finalize

from d4py_dask.channel import Batch, Channel, StoppedError
from d4py_dask.limits import DaskLimits
from d4py_dask.messages import (
    Ended,
    Items,
    Logged,
    Message,
    Paused,
    Reported,
    Results,
    Skipped,
)
from dispel4py.mapping import (
    Executor,
    Failure,
    InstanceStats,
    Meter,
    MeterReport,
    PlanBundle,
    ProcessingError,
    UserCodeThread,
    WorkerCodec,
    copy_item,
    picklable_error,
    raise_error,
    share_item,
)

#: Objects travel as bytes of ours: Dask is not to look into them.
CODEC = WorkerCodec("dill")
#: Name of the thread of each instance.
THREAD = "d4py-instance"


class InstanceOptions(NamedTuple):
    """What an instance is made from.

    Attributes:
        bundle: the plan.
        pe: number of the PE.
        instance: number of the instance.
        rank: number among all instances.
        skips: items are skipped when the PE raises.
        share_items: see `dispel4py.run`.
        is_observed: the run has observers.
    """

    bundle: PlanBundle
    pe: int
    instance: int
    rank: int
    skips: bool
    share_items: bool
    is_observed: bool


class Instance:
    """An instance of a PE.

    Dask makes an actor anew when its worker is lost.  So each method takes the token that `begin`
    has returned, and returns None where the token is another one's.

    Args:
        limits: limits of the run.
    """

    def __init__(self, limits: DaskLimits) -> None:
        self._token = secrets.token_hex(8)
        self._channel = Channel(limits)
        self._runner = _InstanceRunner(self._channel)
        # Dask drops the actor once its driver is gone, however that ended.
        finalize(self, self._channel.stop)

    async def begin(self, options: InstanceOptions) -> tuple[str, int]:
        """Start the thread; return the token and the number of the process."""
        self._runner.start(options)
        return self._token, os.getpid()

    async def add(self, token: str, batches: list[Batch]) -> bool | None:
        """Return whether batches were accepted; see `Channel.add`."""
        return await self._channel.add(batches) if token == self._token else None

    async def take(self, token: str) -> tuple[list[Message], list[InstanceStats]] | None:
        """Return messages, see `Channel.take`, and the statistics so far."""
        if token != self._token:
            return None
        return await self._channel.take(), self._runner.stats

    async def stop(self) -> None:
        """Have the thread end before the next batch, and where the PE writes."""
        self._channel.stop()


class _InstanceRunner:
    """Runs the PE of an instance on a thread; what the PE writes leaves by `send` and `result`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._paused: tuple[int, ...] = ()
        self._executor: Executor | None = None
        self._meter: Meter | None = None

    @property
    def stats(self) -> list[InstanceStats]:
        """The statistics so far."""
        return [] if self._executor is None else self._executor.stats

    def start(self, options: InstanceOptions) -> None:
        """Start the thread that runs the PE from its first item to its last."""
        thread = UserCodeThread(
            target=lambda: self._run_in(thread, options), name=THREAD, daemon=True
        )
        thread.start()

    def _run_in(self, thread: UserCodeThread, options: InstanceOptions) -> None:
        with suppress(StoppedError):
            error = self._error_of(options)
            if error is None:
                thread.join_started(self._log)  # a worker that goes on ends them with itself
            self._channel.put(Ended(error))
        if self._meter is not None:
            self._meter.stop()
        if self._executor is not None:
            self._executor.end_log()

    def _error_of(self, options: InstanceOptions) -> bytes | None:
        """Return the exception that has ended the instance, pickled; None if all is done."""
        try:
            self._run(options)
        except StoppedError:
            raise
        except BaseException as error:
            return picklable_error(error)
        return None

    def _run(self, options: InstanceOptions) -> None:
        address = options.pe, options.instance
        plan = options.bundle.load(CODEC, {options.pe: 1}, last=True)
        if options.is_observed:
            self._meter = Meter(plan, options.rank, self._report)
        self._executor = executor = Executor(
            plan,
            self,
            is_local=lambda *other: other == address,
            rank=options.rank,
            copier=share_item if options.share_items else copy_item,
            on_error=self._skip if options.skips else raise_error,
            log=lambda *line: self._channel.put(Logged(*line)),
            on_batch_end=self._pause_roots,
            meter=self._meter,
        )
        with executor.closing():
            executor.start(*address)
            for input_name, items in self._received():
                if input_name is None:
                    calls = iter(items)
                    while executor.call_root(options.pe, calls):
                        pass
                else:
                    executor.push(*address, input_name, items)
                    executor.drain()
                executor.flush_log()
            executor.finish(*address)
            executor.flush_log()
        if self._meter is not None:
            self._meter.finish()

    def _received(self) -> Iterator[tuple[str | None, list[Any]]]:
        """Yield input and items until the end; what has come meanwhile for one input, together."""
        while True:
            batches = self._next_batches()
            for input_name, group in groupby(filter(None, batches), itemgetter(0)):
                yield input_name, [item for _, data in group for item in CODEC.loads(data)]
            if batches[-1] is None:
                return

    def _next_batches(self) -> list[Batch]:
        """Wait for batches; meanwhile report to observers what was done."""
        while self._meter is not None:
            seconds = self._meter.wait()
            with suppress(TimeoutError):
                return self._channel.get(seconds if isfinite(seconds) else None)
        return self._channel.get(None)

    def _report(self, report: MeterReport) -> None:
        self._channel.put(Reported(report))

    def _pause_roots(self) -> bool:
        """Report which roots have to wait for an ordered input, if that has changed."""
        assert self._executor is not None
        roots = next(iter(self._executor.roots_to_pause.values()), ())
        if roots != self._paused:
            self._paused = roots
            self._channel.put(Paused(roots))
        return False

    def _log(self, text: str) -> None:
        for one in self.stats:
            self._channel.put(Logged(one.pe_id, one.rank, text))

    def _skip(self, error: ProcessingError, item: Any) -> None:
        self._channel.put(Skipped(CODEC.dumps(Failure(error, item))))

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        """Send items to an instance; see `dispel4py.mapping.OutputHandler`."""
        self._channel.put(Items(pe, instance, input_name, CODEC.dumps(items)))

    def result(self, pe_id: str, output: str, items: list[Any]) -> None:
        """Send results; see `dispel4py.mapping.OutputHandler`."""
        self._channel.put(Results(pe_id, output, CODEC.dumps(items)))
