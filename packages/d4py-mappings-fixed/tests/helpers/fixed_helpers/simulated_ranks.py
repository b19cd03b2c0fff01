"""Ranks and driver without processes, which exchange frames in an order that a seed decides.

Ranks and driver are threads of which one runs at a time; at every `send` and `receive` a seeded
chooser selects the next one.  So a seed is a schedule, and a deadlock is detected at once, when no
thread can run.  Windows and batches are tiny, clocks are simulated, and every frame is recorded.
"""

import random
import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import pytest

from d4py_conformance.waiting import LIMIT
from d4py_fixed.engine import rank as rank_module
from d4py_fixed.engine.driver import Driver
from d4py_fixed.engine.frame_transport import EncodedFrames
from d4py_fixed.engine.frames import (
    from_parts,
)
from d4py_fixed.engine.limits import RankLimits
from d4py_fixed.engine.placement import Placement
from d4py_fixed.engine.rank import Rank
from d4py_fixed.engine.send_buffers import SendBuffers
from dispel4py.engine.inputs import root_inputs
from dispel4py.result import RunOptions


class Stopped(BaseException):
    """Ends a thread when the simulation is over."""


class Net:
    """Threads that run one at a time, and frames between them.

    Attributes:
        sent: every frame, as (sender, receiver, frame).
        most_waiting: the most items that ever waited in one rank for one input of an instance.
        error: what a rank raised, or a deadlock.
    """

    def __init__(self, ranks: int, chooser: random.Random) -> None:
        self.sent: list[tuple[int, int, Any]] = []
        self.most_waiting = 0
        self.error: BaseException | None = None
        self._chooser = chooser
        self._driver = ranks
        self._inboxes = [deque() for _ in range(ranks + 1)]
        self._turns = [threading.Semaphore(0) for _ in range(ranks + 1)]
        self._waiting = [False] * (ranks + 1)
        self._over = [False] * (ranks + 1)
        self._threads: list[threading.Thread] = []

    def start(self, rank: int, main) -> None:
        def body():
            self._turns[rank].acquire()
            try:
                main()
            except Stopped:
                pass
            except BaseException as error:
                self.error = self.error or error
            self._over[rank] = True
            self._hand_over()

        self._threads.append(threading.Thread(target=body, daemon=True))
        self._threads[-1].start()

    def stop(self) -> None:
        self.error = self.error or Stopped()
        for turn in self._turns:
            turn.release()
        for thread in self._threads:
            thread.join(LIMIT)
            assert not thread.is_alive()

    def check(self) -> None:
        if self.error is not None:
            raise self.error

    def send(self, sender: int, receiver: int, parts) -> None:
        copies = [bytearray(part) for part in parts]
        self.sent.append((sender, receiver, from_parts([bytes(copy) for copy in copies])))
        self._inboxes[receiver].append((sender, copies))
        self._switch(sender)

    def receive(self, rank: int, seconds: float):
        self._waiting[rank] = seconds > 0
        self._switch(rank)
        self._waiting[rank] = False
        return self._inboxes[rank].popleft() if self._inboxes[rank] else None

    def _switch(self, rank: int) -> None:
        if self._hand_over() != rank:
            self._turns[rank].acquire()
        else:
            self._turns[rank].acquire(blocking=False)
        if self.error is not None and rank != self._driver:
            raise Stopped

    def _hand_over(self) -> int:
        """Run the next thread, chosen from those that can run, and return its rank."""
        able = [
            rank
            for rank, inbox in enumerate(self._inboxes)
            if not self._over[rank] and (inbox or not self._waiting[rank])
        ]
        if not able or self.error is not None:
            if not able:
                self.error = self.error or AssertionError("deadlock: all threads wait")
            able = [self._driver]
        chosen = self._chooser.choice(able)
        self._turns[chosen].release()
        return chosen


@dataclass
class Link:
    """The transport of one rank."""

    net: Net
    rank: int

    def send(self, rank, parts):
        self.net.send(self.rank, rank, parts)

    def receive(self, seconds):
        return self.net.receive(self.rank, seconds)

    def close(self):
        pass


class Clock:
    """A time that advances by a little, or by a lot, at each call."""

    def __init__(self, chooser: random.Random) -> None:
        self._chooser = chooser
        self._now = 0.0

    def __call__(self) -> float:
        self._now += self._chooser.choice((0.0, 0.0001, 0.001, 0.004, 0.02))
        return self._now


class MeasuredBuffers(SendBuffers):
    """Measures how much waits in a rank."""

    net: Net

    def add_items(self, *batch):
        super().add_items(*batch)
        waiting = max(len(buffer.items) for buffer in self._filling)
        self.net.most_waiting = max(self.net.most_waiting, waiting)


@dataclass
class Sizes:
    """Sizes of windows and batches, tiny by default."""

    window: int = 1
    results_window: int = 1
    full: int = 2
    chunk: int = 4

    @property
    def limits(self) -> RankLimits:
        return RankLimits(
            batch_items=self.full, window=self.window, results_window=self.results_window
        )

    @property
    def bound(self) -> int:
        """Items that may wait for one input: two batches, and what was being made meanwhile."""
        return 2 * self.full + 2 * self.chunk


def simulate(placement: Placement, inputs, *, seed=0, sizes=None, on_error="stop"):
    """Run a placed graph; return its result and the net."""
    sizes = sizes or Sizes()
    limits = placement.plan.limits._replace(batch_items=sizes.chunk)
    placement = placement._replace(plan=replace(placement.plan, limits=limits))
    chooser = random.Random(seed)
    clock = Clock(chooser)
    net = Net(placement.ranks, chooser)
    options = RunOptions(on_error=on_error)
    with pytest.MonkeyPatch.context() as patch:
        buffers = type("Measured", (MeasuredBuffers,), {"net": net})
        patch.setattr(rank_module, "SendBuffers", buffers)
        for rank in range(placement.ranks):
            frames = EncodedFrames(Link(net, rank), placement.describe)
            made = Rank(placement, rank, frames, on_error, limits=sizes.limits, clock=clock)
            net.start(rank, made.run)
        driver = Driver(
            placement,
            root_inputs(placement.plan, inputs),
            EncodedFrames(Link(net, placement.ranks), placement.describe),
            net.check,
            options,
            "test",
            sizes.limits,
            clock,
        )
        try:
            result = driver.run()
        finally:
            net.stop()
    return result, net
