"""Tasks, leases and commits: what a worker takes from a task store and gives back to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dispel4py.engine.inputs import calls
from dispel4py.engine.plan import Plan, PlannedPE
from dispel4py.engine.replay import CallOffset
from dispel4py.result import Failure

#: Process items: `Task.load` is a list of items.
ITEMS = "items"
#: Call a root: `Task.load` is a number of calls, or a list of dicts; a `CallRange` for a root whose
#: calls any worker may have.
CALLS = "calls"
#: Postprocess an instance.
FINISH = "finish"
#: Own a pinned instance from now on: whoever owned it before is gone.
OWN = "own"
#: Take no shared tasks until told to go on.
PARK = "park"
#: Go on with shared tasks.
WAKE = "wake"
#: End as soon as what is in hand is done; others go on with the rest.
LEAVE = "leave"
#: End the worker.
STOP = "stop"

#: What is told to a worker and is no work: it counts nowhere.
ORDERS = (OWN, PARK, WAKE, LEAVE, STOP)

#: What was lost with its worker may be begun again so many times; then it is to blame.
REDELIVERIES = 3

#: Tasks of a pinned instance that may wait before their senders pause, and batches of results.
MOST_WAITING, MOST_RESULTS = 128, 64
#: About how many bytes these may be: where they are large, fewer may wait.
MOST_BYTES = 32 << 20
#: In one of so many turns a worker takes a shared task though its own instances have some.
TURNS = 8

#: `Task.instance` of a task that any worker may run.
ANY = -1

#: A pinned instance: number of its PE, number of the instance.
Pin = tuple[int, int]


class Task(NamedTuple):
    """Work for one PE.

    Attributes:
        kind: `ITEMS`, `CALLS`, `FINISH`, or one of `ORDERS`.
        pe: number of the PE; `ANY` where it is about none.
        instance: number of the instance that must do it, or `ANY`.
        input_name: the input by which items come in.
        load: see the kinds; for `FINISH` a replica that its worker has left, pickled, or None.
    """

    kind: str
    pe: int
    instance: int = ANY
    input_name: str | None = None
    load: Any = None


class ResumePoint(NamedTuple):
    """How far something has come that is not done: where whoever takes it over goes on.

    Attributes:
        done: how many items, or calls, of the oldest lease are done.
        sent: outputs, and how many items were sent since then.  They are known by their number: a
            PE that is called again with the same items is expected to write the same again.  None
            where it cannot be called again without doing something twice.
        cut: where in that it was; for a PE that seeks.
        until: how many items of a shared task were not given away; None if all.
        instead: what is left of a shared task further down the graph, if its worker has given away
            all else: that task, pickled.
        ahead: roots that are too far ahead of a pinned instance with an ordered input.
    """

    done: int = 0
    sent: tuple[tuple[str, int], ...] | None = ()
    cut: CallOffset | None = None
    until: int | None = None
    instead: bytes | None = None
    ahead: tuple[int, ...] = ()


class Lease(NamedTuple):
    """A task that was taken and is not done yet.

    Attributes:
        task: the task, or what is left of it.
        token: the store's own mark.
        position: how far a worker had come with it that is gone; for shared tasks.
        losses: 0 if no worker was lost with it since it last got any further; else 1, and one more
            for each that was lost in an `Attempt` at it.
    """

    task: Task
    token: Any
    position: ResumePoint = ResumePoint()
    losses: int = 0


#: What may be to blame for the loss of a worker: a pinned instance, or a lease of a shared task.
Suspect = Pin | Lease


class Attempt(NamedTuple):
    """What a worker is about to do, and might not survive as others before it did not.

    Attributes:
        suspect: the instance or lease.
        in_call: an item is processed, or an instance postprocessed; before that it is only made.
    """

    suspect: Suspect
    in_call: bool


class Adopted(NamedTuple):
    """A pinned instance as its last owner has left it.

    Attributes:
        state: the PE, pickled; None if it is as in the plan.
        position: how far it has come since then.
        leases: what it was given since then, oldest first.
        losses: 0 if no owner was lost with some of these since it last got any further; else 1,
            and one more for each that was lost in an `Attempt` at it.
    """

    state: bytes | None
    position: ResumePoint
    leases: list[Lease]
    losses: int = 0


class Lost(NamedTuple):
    """What a lost worker had.

    Attributes:
        leases: shared tasks, which others can take again.
        replicas: PEs with a life cycle of which it had a replica.
        pins: its instances that had tasks, and how many owners were lost over them; see `Adopted`.
        starting: it was lost in an `Attempt` that was not in a call, so there is no item to skip.
    """

    leases: list[Lease]
    replicas: list[int]
    pins: list[tuple[Pin, int]]
    starting: bool = False


@dataclass
class Commit:
    """What becomes true in one step.

    Attributes:
        leases: tasks that are done.
        states: pinned instances as they are now, pickled; None where one cannot be pickled, so
            that it is lost with its worker.
        pinned: how far pinned instances have come since their last state.
        begun: leases that are not done, of shared tasks, and how far they have come.
        got_on: those of both that got any further: what was lost before was not their fault.
        attempt: what the worker is about to do; None if there is no doubt about it.
        tasks: tasks that follow from them.
        results: (PE id, output, items).
        failures: items that were given up.
        counters: (PE number, calls, seconds) since the last commit.
        replicas: PEs of which this worker has made a replica that has a life cycle.
        orphans: replicas that this worker leaves to others to be postprocessed: number of the PE,
            and the PE, pickled.
    """

    leases: list[Lease] = field(default_factory=list)
    states: list[tuple[Pin, bytes | None]] = field(default_factory=list)
    pinned: list[tuple[Pin, ResumePoint]] = field(default_factory=list)
    begun: list[tuple[Lease, ResumePoint]] = field(default_factory=list)
    got_on: list[Suspect] = field(default_factory=list)
    attempt: Attempt | None = None
    tasks: list[Task] = field(default_factory=list)
    results: list[tuple[str, str, list[Any]]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    counters: list[tuple[int, int, float]] = field(default_factory=list)
    replicas: list[int] = field(default_factory=list)
    orphans: list[tuple[int, bytes]] = field(default_factory=list)


class Pressure(NamedTuple):
    """How the store stands after a commit.

    Attributes:
        hungry: number of workers that wait for work, or would if they were woken, and find none:
            where shared tasks wait for them, be it that they are just starting, they are served.
        full: instances whose tasks wait in such number that their senders should pause.
        results_full: the same for results that the caller has not taken yet.
        orders: something waits that is for this worker alone.
        backlog: number of shared tasks that wait.
    """

    hungry: int
    full: tuple[Pin, ...] = ()
    results_full: bool = False
    orders: bool = False
    backlog: int = 0


def is_pinned(planned: PlannedPE) -> bool:
    """Its instances each live in one place: it keeps state, is single, or is a root.

    A root stays in one place so that its calls keep their order, unless they are independent.
    """
    return planned.is_pinned


def pins_of(plan: Plan) -> list[Pin]:
    """All pinned instances."""
    return [(pe.index, i) for pe in plan.pes if is_pinned(pe) for i in range(pe.instances)]


def counts(task: Task) -> bool:
    """It is work, and unfinished until its lease has ended."""
    return task.kind not in ORDERS


def is_replica_end(task: Task) -> bool:
    """It postprocesses a worker's replica of a shared PE."""
    return task.kind == FINISH and task.instance == ANY and task.load is None


def left_of(plan: Plan, task: Task, done: int) -> Iterator[Any]:
    """What is left of a task's load: items, or the inputs of a root's calls."""
    if task.kind != CALLS:
        return iter(task.load[done:])
    load = task.load - done if isinstance(task.load, int) else task.load[done:]
    return calls(plan.pes[task.pe], load)
