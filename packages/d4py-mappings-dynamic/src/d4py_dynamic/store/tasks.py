"""Tasks, leases and commits: what a worker takes from a task store and gives back to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dispel4py.engine.inputs import calls
from dispel4py.engine.plan import Plan, PlannedPE
from dispel4py.engine.replay import CallOffset
from dispel4py.result import Failure

#: Process items: `Task.payload` is a list of items.
ITEMS = "items"
#: Call a root: `Task.payload` is a number of calls, or a list of dicts; a `CallRange` for a root
#: whose calls any worker may have.
CALLS = "calls"
#: Postprocess an instance.
FINISH = "finish"
#: Take ownership of a pinned instance; its previous owner, if any, is gone.
ASSIGN = "assign"
#: Take no shared tasks until `RESUME`.
PAUSE = "pause"
#: Take shared tasks again.
RESUME = "resume"
#: Finish the tasks in hand, return the rest to the store, and exit.
DRAIN = "drain"
#: Exit.
STOP = "stop"

#: Kinds of control messages, which are no work and are not counted.
CONTROL_MESSAGES = (ASSIGN, PAUSE, RESUME, DRAIN, STOP)

#: How often what was lost with its worker is delivered again; beyond that it is a poison message.
REDELIVERIES = 3

#: `Task.instance` of a task that any worker may run.
ANY = -1

#: A pinned instance: number of its PE, number of the instance.
InstanceId = tuple[int, int]


class Task(NamedTuple):
    """Work for one PE.

    Attributes:
        kind: `ITEMS`, `CALLS`, `FINISH`, or one of `CONTROL_MESSAGES`.
        pe: number of the PE; `ANY` where it is about none.
        instance: number of the instance that must do it, or `ANY`.
        input_name: the input by which items come in.
        payload: see the kinds; for `FINISH` a replica that its worker has left, pickled, or None.
    """

    kind: str
    pe: int
    instance: int = ANY
    input_name: str | None = None
    payload: Any = None


class ResumePoint(NamedTuple):
    """How far something has come that is not done: where whoever takes it over goes on.

    Attributes:
        done: how many items, or calls, of the oldest lease are done.
        sent: outputs, and how many items were sent since then.  They are known by their number: a
            PE that is called again with the same items is expected to write the same again.  None
            where it cannot be called again without doing something twice.
        call_offset: position within that call; for a PE that seeks.
        end: how many items of a shared task were not given away; None if all.
        replacement: pickled task that replaces a shared task of which only items further down the
            graph are left.
        ahead: roots that are too far ahead of a pinned instance with an ordered input.
    """

    done: int = 0
    sent: tuple[tuple[str, int], ...] | None = ()
    call_offset: CallOffset | None = None
    end: int | None = None
    replacement: bytes | None = None
    ahead: tuple[int, ...] = ()


class Lease(NamedTuple):
    """A task that was taken and is not done yet.

    Attributes:
        task: the task, or what is left of it.
        token: identifies it in the store.
        position: how far a worker had come with it that is gone; for shared tasks.
        delivery_count: 0 if no worker was lost with it since it last made progress; else 1, plus 1
            for each worker that was lost during an `Attempt` at it.
    """

    task: Task
    token: Any
    position: ResumePoint = ResumePoint()
    delivery_count: int = 0


#: What has a delivery count: a pinned instance, or a lease of a shared task.
Delivery = InstanceId | Lease


class Attempt(NamedTuple):
    """What a worker is about to do, and might not survive as others before it did not.

    Attributes:
        delivery: the instance or lease.
        in_call: an item is processed, or an instance postprocessed; before that it is only made.
    """

    delivery: Delivery
    in_call: bool


class AdoptedInstance(NamedTuple):
    """A pinned instance as its last owner has left it.

    Attributes:
        state: the PE, pickled; None if it is as in the plan.
        position: how far it has come since then.
        leases: what it was given since then, oldest first.
        delivery_count: 0 if no owner was lost with some of these since it last made progress; else
            1, plus 1 for each owner that was lost during an `Attempt` at it.
    """

    state: bytes | None
    position: ResumePoint
    leases: list[Lease]
    delivery_count: int = 0


class Eviction(NamedTuple):
    """What an evicted worker had.

    Attributes:
        leases: shared tasks, which others can take again.
        replicas: PEs with a life cycle of which it had a replica.
        pins: its pinned instances that had tasks, with their delivery counts.
        starting: it was lost in an `Attempt` that was not in a call, so there is no item to skip.
    """

    leases: list[Lease]
    replicas: list[int]
    pins: list[tuple[InstanceId, int]]
    starting: bool = False


@dataclass
class Commit:
    """What becomes true in one step.

    Attributes:
        leases: tasks that are done.
        states: pinned instances as they are now, pickled; None where one cannot be pickled, so
            that it is lost with its worker.
        instance_positions: how far pinned instances have come since their last state.
        lease_positions: unfinished leases of shared tasks, and how far they have come.
        progressed: instances and leases that made progress; their delivery counts are reset.
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
    states: list[tuple[InstanceId, bytes | None]] = field(default_factory=list)
    instance_positions: list[tuple[InstanceId, ResumePoint]] = field(default_factory=list)
    lease_positions: list[tuple[Lease, ResumePoint]] = field(default_factory=list)
    progressed: list[Delivery] = field(default_factory=list)
    attempt: Attempt | None = None
    tasks: list[Task] = field(default_factory=list)
    results: list[tuple[str, str, list[Any]]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    counters: list[tuple[int, int, float]] = field(default_factory=list)
    replicas: list[int] = field(default_factory=list)
    orphans: list[tuple[int, bytes]] = field(default_factory=list)


class StoreStatus(NamedTuple):
    """How much waits in a store, and how many workers are idle.

    Attributes:
        idle: number of idle workers, paused ones included, beyond the shared tasks that are queued
            for them.
        full: pinned instances with so many queued tasks that their senders should pause.
        results_full: so many results are queued for the driver that workers should pause.
        has_messages: tasks or control messages wait in this worker's inbox.
        backlog: number of shared tasks that wait.
    """

    idle: int
    full: tuple[InstanceId, ...] = ()
    results_full: bool = False
    has_messages: bool = False
    backlog: int = 0


def is_pinned(planned: PlannedPE) -> bool:
    """Its instances each live in one place: it keeps state, is single, or is a root.

    A root stays in one place so that its calls keep their order, unless they are independent.
    """
    return planned.is_pinned


def pins_of(plan: Plan) -> list[InstanceId]:
    """All pinned instances."""
    return [(pe.index, i) for pe in plan.pes if is_pinned(pe) for i in range(pe.instances)]


def counts(task: Task) -> bool:
    """It is work, and unfinished until its lease has ended."""
    return task.kind not in CONTROL_MESSAGES


def is_replica_end(task: Task) -> bool:
    """It postprocesses a worker's replica of a shared PE."""
    return task.kind == FINISH and task.instance == ANY and task.payload is None


def left_of(plan: Plan, task: Task, done: int) -> Iterator[Any]:
    """What is left of a task's load: items, or the inputs of a root's calls."""
    if task.kind != CALLS:
        return iter(task.payload[done:])
    load = task.payload - done if isinstance(task.payload, int) else task.payload[done:]
    return calls(plan.pes[task.pe], load)
