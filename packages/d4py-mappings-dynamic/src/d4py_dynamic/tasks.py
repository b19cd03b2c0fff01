"""Tasks, leases and commits: what a worker takes from a task store and gives back to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dispel4py.plan import PlannedPE
from dispel4py.result import Failure

#: Process items: `Task.load` is a list of items.
ITEMS = "items"
#: Call a root: `Task.load` is a number of calls, or a list of dicts.
CALLS = "calls"
#: Postprocess an instance.
FINISH = "finish"
#: End the worker.
STOP = "stop"

#: `Task.instance` of a task that any worker may run.
ANY = -1

#: A pinned instance: number of its PE, number of the instance.
Pin = tuple[int, int]


class Task(NamedTuple):
    """Work for one PE.

    Attributes:
        kind: `ITEMS`, `CALLS`, `FINISH` or `STOP`.
        pe: number of the PE; `ANY` for `STOP`.
        instance: number of the instance that must do it, or `ANY`.
        input_name: the input by which items come in.
        load: see the kinds.
    """

    kind: str
    pe: int
    instance: int = ANY
    input_name: str | None = None
    load: Any = None


class Lease(NamedTuple):
    """A task that was taken and is not done yet.

    Attributes:
        task: the task.
        token: the store's own mark.
    """

    task: Task
    token: Any


@dataclass
class Commit:
    """What becomes true in one step.

    Attributes:
        leases: tasks that are done.
        tasks: tasks that follow from them.
        results: (PE id, output, items).
        failures: items that were given up.
        counters: (PE number, calls, seconds) since the last commit.
        replicas: PEs of which this worker has made a replica that has a life cycle.
    """

    leases: list[Lease] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    results: list[tuple[str, str, list[Any]]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    counters: list[tuple[int, int, float]] = field(default_factory=list)
    replicas: list[int] = field(default_factory=list)


class Pressure(NamedTuple):
    """How the store stands after a commit.

    Attributes:
        hungry: number of workers that wait for work.
        full: instances whose tasks wait in such number that their senders should pause.
        results_full: the same for results that the caller has not taken yet.
    """

    hungry: int
    full: tuple[Pin, ...] = ()
    results_full: bool = False


def is_pinned(planned: PlannedPE) -> bool:
    """Its instances each live in one place: it keeps state, is single, or is a root.

    A root stays in one place so that its calls keep their order.
    """
    return planned.is_root or planned.stateful or planned.pe.single
