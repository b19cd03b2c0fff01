"""A discrete-event simulation of a run with autoscaling, without a clock, processes or randomness.

It models the task loop: a task is a batch of items; its worker processes them one after the other
and, at intervals, returns the rest in pieces if other workers are idle.
"""

import heapq
import itertools
from collections import deque
from typing import NamedTuple

from d4py_dynamic.autoscaling.policies import Metrics

#: Seconds from the decision to resume a worker until it can take a task.
RESUME_SECONDS = 0.002
#: Seconds between two observations.
TICK_SECONDS = 0.01
#: Seconds between two checks of a busy worker whether others are idle.
CHECK_SECONDS = 0.02
PIECES_PER_IDLE_WORKER = 2


class Arrival(NamedTuple):
    """A task of `items` items that take `seconds` each."""

    at: float
    seconds: float
    items: int = 1


class Outcome(NamedTuple):
    """The result of a run; `targets` are the times and targets of the policy."""

    runtime: float
    process_time: float
    targets: list[tuple[float, int]]
    most_active: int

    @property
    def turns(self):
        """How often the policy changed from growing to shrinking or back."""
        numbers = [target for target, _ in itertools.groupby(t for _, t in self.targets)]
        rises = [b > a for a, b in itertools.pairwise(numbers)]
        return sum(a != b for a, b in itertools.pairwise(rises))


class Worker:
    def __init__(self, number):
        self.number = number
        self.active_since = None
        self.ready = self.working = False
        self.idle_since = self.checked_at = 0.0
        self.seconds, self.items = 0.0, 0


class Simulation:
    """Without a policy all workers are active from beginning to end."""

    def __init__(self, policy, arrivals, most=8):
        self.policy = policy
        self.now = 0.0
        self.order = itertools.count()
        self.events = []
        self.backlog = deque()
        self.workers = [Worker(i) for i in range(most)]
        self.allowed = 1 if policy else most
        self.process_time = self.busy_seconds = self.finished_at = 0.0
        self.targets = []
        self.most_active = 0
        self.to_come = len(arrivals)
        for arrival in arrivals:
            self.at(arrival.at, self.arrive, arrival)
        self.at(0.0, self.tick)
        for worker in self.workers[: self.allowed]:
            worker.active_since, worker.ready = 0.0, True

    def run(self):
        while self.events:
            self.now, _, action, subject = heapq.heappop(self.events)
            action(*subject)
        for worker in self.active:
            self.pause(worker)
        return Outcome(self.finished_at, self.process_time, self.targets, self.most_active)

    def at(self, time, action, *subject):
        heapq.heappush(self.events, (time, next(self.order), action, subject))

    @property
    def active(self):
        return [worker for worker in self.workers if worker.active_since is not None]

    @property
    def idle(self):
        return [worker for worker in self.active if not worker.working]

    def arrive(self, arrival):
        self.to_come -= 1
        self.backlog.append((arrival.seconds, arrival.items))
        self.deliver()
        self.observe()

    def tick(self):
        self.observe()
        if self.to_come or self.backlog or len(self.idle) < len(self.active):
            self.at(self.now + TICK_SECONDS, self.tick)

    def observe(self):
        if self.policy is None:
            return
        active, idle = self.active, self.idle
        self.allowed = self.policy.target(
            Metrics(
                at=self.now,
                backlog=len(self.backlog),
                active=len(active),
                idle=len(idle),
                idle_seconds=max((self.now - worker.idle_since for worker in idle), default=0.0),
                busy_seconds=self.busy_seconds,
            )
        )
        self.targets.append((self.now, self.allowed))
        paused = [worker for worker in self.workers if worker.active_since is None]
        for worker in paused[: max(0, self.allowed - len(active))]:
            worker.active_since = worker.idle_since = self.now
            self.at(self.now + RESUME_SECONDS, self.resumed, worker)
        ready = [worker for worker in idle if worker.ready]
        ready.sort(key=lambda worker: worker.idle_since)
        for worker in ready[: max(0, len(active) - self.allowed)]:
            self.pause(worker)
        self.most_active = max(self.most_active, len(self.active))

    def pause(self, worker):
        self.process_time += min(self.now, self.finished_at) - min(
            worker.active_since, self.finished_at
        )
        worker.active_since, worker.ready = None, False

    def resumed(self, worker):
        worker.ready = True
        self.deliver()

    def deliver(self):
        for worker in self.idle:
            if self.backlog and worker.ready:
                worker.working = True
                worker.checked_at = self.now
                worker.seconds, worker.items = self.backlog.popleft()
                self.at(self.now + worker.seconds, self.step, worker)

    def step(self, worker):
        """An item is done."""
        worker.items -= 1
        self.busy_seconds += worker.seconds
        self.finished_at = self.now
        if worker.items and self.now - worker.checked_at >= CHECK_SECONDS:
            worker.checked_at = self.now
            self.return_pieces(worker)
        if worker.items:
            self.at(self.now + worker.seconds, self.step, worker)
            return
        worker.working, worker.idle_since = False, self.now
        if len(self.active) > self.allowed:
            self.pause(worker)
        self.deliver()

    def return_pieces(self, worker):
        pieces = PIECES_PER_IDLE_WORKER * len(self.idle)
        if pieces:
            size = -(-worker.items // pieces)
            while worker.items:
                self.backlog.append((worker.seconds, min(size, worker.items)))
                worker.items -= self.backlog[-1][1]


def simulate(policy, arrivals, most=8):
    """Run the arrivals to their end."""
    return Simulation(policy, arrivals, most).run()
