"""Tasks, leases and commits: what a worker takes from a store and returns to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dispel4py.engine.calls.replay import CallOffset
from dispel4py.engine.inputs import calls
from dispel4py.engine.planning.plan import Plan, PlannedPE
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

#: A pinned instance: number of its PE, and of the instance.
InstanceId = tuple[int, int]


class Task(NamedTuple):
    """Work for one PE.

    Attributes:
        kind: `ITEMS`, `CALLS`, `FINISH`, or one of `CONTROL_MESSAGES`.
        pe: number of the PE; `ANY` for control messages to a worker.
        instance: number of the instance that processes it, or `ANY`.
        input_name: the input of the items.
        payload: see the kinds; for `FINISH` a pickled orphaned replica, or None.
    """

    kind: str
    pe: int
    instance: int = ANY
    input_name: str | None = None
    payload: Any = None


class ResumePoint(NamedTuple):
    """How far an unfinished lease has come: where the next worker continues.

    Attributes:
        done: number of items, or calls, of the oldest lease that are finished.
        sent: outputs, and how many items were sent since then.  A number identifies items because a
            PE that is called again with the same items must write the same items.  None where a
            repeated call would have an effect twice.
        call_offset: position within that call; for a PE that seeks.
        end: number of items of a shared task that were not returned to the store; None if all.
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
    """A task that was taken and is not finished.

    Attributes:
        task: the task, or what is left of it.
        token: identifies it in the store.
        position: how far a previous worker has come with a shared task.
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
    """A delivery that a worker is about to process, and that may be poison.

    Attributes:
        delivery: the instance or lease.
        in_call: whether an item is processed or the instance postprocessed; otherwise the instance
            is only restored.
    """

    delivery: Delivery
    in_call: bool


class AdoptedInstance(NamedTuple):
    """A pinned instance after the last commit of its previous owner.

    Attributes:
        state: the PE, pickled; None if it is as in the plan.
        position: how far it has come since then.
        leases: tasks that the previous owner had taken since then, oldest first.
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
        replicas: numbers of the PEs of which it had a replica with a life cycle.
        pins: its pinned instances that had tasks, with their delivery counts.
        starting: whether the worker was lost in an `Attempt` outside a call, so that no item can be
            skipped.
    """

    leases: list[Lease]
    replicas: list[int]
    pins: list[tuple[InstanceId, int]]
    starting: bool = False


@dataclass
class Commit:
    """Changes that a worker makes in one step.

    Attributes:
        leases: leases that have ended.
        states: pickled pinned instances; None where one cannot be pickled, so that it would be lost
            with its worker.
        instance_positions: how far pinned instances have come since their last state.
        lease_positions: unfinished leases of shared tasks, and how far they have come.
        progressed: instances and leases that made progress; their delivery counts are reset.
        attempt: what the worker is about to process, if that may be poison.
        tasks: tasks that follow from them.
        results: (PE id, output, items).
        failures: items that were skipped.
        counters: (PE number, calls, seconds) since the last commit.
        replicas: PEs of which this worker has made a replica that has a life cycle.
        orphans: replicas that this worker leaves for others to postprocess: number of the PE, and
            the pickled PE.
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
        idle_workers: number of other idle workers, paused ones included.
        full: pinned instances with so many queued tasks that their senders should pause.
        results_full: so many results are queued for the driver that workers should pause.
        has_messages: tasks or control messages wait in this worker's inbox.
        backlog: number of shared tasks that wait.
        call_seconds: PEs that tasks were just sent to, each with how long a call of it took in the
            last commit that reported some.
    """

    idle_workers: int
    full: tuple[InstanceId, ...] = ()
    results_full: bool = False
    has_messages: bool = False
    backlog: int = 0
    call_seconds: tuple[tuple[int, float], ...] = ()

    @property
    def idle(self) -> int:
        """Number of idle workers beyond the shared tasks that are queued for them."""
        return max(0, self.idle_workers - self.backlog)

    def had_idle_workers_before(self, sent: int) -> bool:
        """Return whether workers were idle before so many shared tasks were sent."""
        return self.idle_workers > max(0, self.backlog - sent)


def is_pinned(planned: PlannedPE) -> bool:
    """Return whether each instance of a PE has one owner: it is stateful, single, or a root.

    A root has one owner so that its calls keep their order, unless they are independent.
    """
    return planned.is_pinned


def pins_of(plan: Plan) -> list[InstanceId]:
    """Return all pinned instances of a plan."""
    return [(pe.index, i) for pe in plan.pes if is_pinned(pe) for i in range(pe.instances)]


def is_counted(task: Task) -> bool:
    """Return whether a task is counted as unfinished until its lease has ended."""
    return task.kind not in CONTROL_MESSAGES


def is_replica_end(task: Task) -> bool:
    """Return whether a task postprocesses a worker's replica of a shared PE."""
    return task.kind == FINISH and task.instance == ANY and task.payload is None


def remaining_payload(plan: Plan, task: Task, done: int) -> Iterator[Any]:
    """Return the rest of a task's payload: items, or the inputs of a root's calls."""
    if task.kind != CALLS:
        return iter(task.payload[done:])
    payload = task.payload - done if isinstance(task.payload, int) else task.payload[done:]
    return calls(plan.pes[task.pe], payload)
