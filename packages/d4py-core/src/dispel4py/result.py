"""What a run is asked for and what it gives back: `RunOptions`, `RunResult` and its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

from dispel4py.errors import OptionError, ProcessingError, shorten

if TYPE_CHECKING:
    from dispel4py.loading import Origin

#: Number of seeds: they go from 0 to this number minus 1.
_SEEDS = 1 << 64
#: Gets each result as it comes: id of the PE, name of the output, data.
OnResult = Callable[[str, str, Any], None]


@dataclass(frozen=True)
class Failure:
    """An item that was given up under ``on_error="skip"``.

    Attributes:
        error: what the PE raised, with PE, instance, phase and traceback; its `__cause__` is the
            exception itself, see `ProcessingError`.
        item: the item itself; None outside ``process``, and where it cannot be pickled.
    """

    error: ProcessingError
    item: Any = None

    def __post_init__(self) -> None:
        self.error.leave_frames()  # they refer to the PE and all that it had in hand

    @property
    def pe_id(self) -> str:
        return self.error.pe_id

    @property
    def instance(self) -> int:
        return self.error.instance

    def __str__(self) -> str:
        return str(self.error)


#: Gets each failure as it comes.
OnFailure = Callable[[Failure], None]


@dataclass
class FailureCount:
    """How often calls of a PE failed in the same way.

    Attributes:
        pe_id: id of the PE.
        phase: ``"preprocess"``, ``"process"`` or ``"postprocess"``.
        exception_type: see `ProcessingError`.
        first: the first of these failures, as text.
        failures: how many there were.
    """

    pe_id: str
    phase: str
    exception_type: str
    first: str
    failures: int = 0


@dataclass
class InstanceStats:
    """What one instance (or one worker's replica) of a PE has done.

    Attributes:
        pe_id: id of the PE.
        rank: number of the process that ran it.
        items: calls of ``process``.
        seconds: time spent inside the PE.
        changed: attributes of the PE that it changed without saying that it keeps state.
        files: files that it had open for writing, each by name and by an identity that is the same
            for all processes: where two instances have the same one, they overwrite each other.
    """

    pe_id: str
    rank: int
    items: int = 0
    seconds: float = 0.0
    changed: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ScalingPoint:
    """One moment of a run with autoscaling.

    Attributes:
        seconds: since the run began.
        active: workers that are not parked.
        backlog: tasks that wait for a worker.
    """

    seconds: float
    active: int
    backlog: int


@dataclass
class RunStats:
    """Counts and times of a run.

    Attributes:
        mapping: name of the mapping.
        processes: number of worker processes.
        seconds: wall-clock time of the run.
        instances: one entry per instance that did anything.
        notes: what the run had to say beside its results, such as dropped foreign frames.
        scaling: active workers and backlog over time, from mappings with autoscaling; thinned out
            where the run was long.
        worker_seconds: sum over all workers of the time in which they were active, from mappings
            that share work among them.
        seed: what all random numbers of the run follow from; see `dispel4py.run`.
    """

    mapping: str
    processes: int = 1
    seconds: float = 0.0
    instances: list[InstanceStats] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    scaling: list[ScalingPoint] = field(default_factory=list)
    worker_seconds: float = 0.0
    seed: int | None = None

    def items_per_pe(self) -> dict[str, int]:
        """Calls of ``process`` per PE, over all its instances."""
        totals: dict[str, int] = {}
        for entry in self.instances:
            totals[entry.pe_id] = totals.get(entry.pe_id, 0) + entry.items
        return totals


@dataclass
class RunResult:
    """What a run gives back.

    Attributes:
        outputs: PE id → output name → data written to that output, for outputs with no edge;
            empty where `RunOptions.on_result` took the results.
        failures: items given up under ``on_error="skip"``: the first 10,000, or fewer if items and
            tracebacks take more than 64 MiB; empty where `RunOptions.on_failure` took them.
        stats: counts and times.
        failure_counts: how many items were given up in all, by PE, phase and type of exception.
    """

    outputs: dict[str, dict[str, list[Any]]]
    failures: list[Failure]
    stats: RunStats
    failure_counts: list[FailureCount] = field(default_factory=list)


@dataclass(frozen=True)
class RunOptions:
    """How to run; the same for every mapping, with the mapping's own options in `extra`.

    Attributes:
        processes: number of processes; None lets the mapping choose.
        on_result: gets results as they come, instead of `RunResult.outputs`.
        on_error: ``"stop"`` ends the run at the first exception of a PE, ``"skip"`` gives up the
            item and carries on.
        on_failure: gets the items that were given up as they come, instead of
            `RunResult.failures`.
        share_items: True hands mutable items on without copying, for PEs that are known not to
            change what they got or sent.
        on_progress: called a few times a second with the stats so far.
        extra: the mapping's own options by name.
        least_processes: the least number that the mapping can do with: 0 where others take part.
        strict: True ends the run when a PE changes its own attributes without saying that it keeps
            state.
        seed: what random numbers follow from, from 0 to 2**64 - 1; None draws one.
        origin: where each process finds the graph that the command has imported; None where a
            program has made it.

    Raises:
        OptionError: a value that cannot be.
    """

    processes: int | None = None
    on_result: OnResult | None = None
    on_error: Literal["stop", "skip"] = "stop"
    on_failure: OnFailure | None = None
    share_items: bool = False
    on_progress: Callable[[RunStats], None] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    least_processes: int = 1
    strict: bool = False
    seed: int | None = None
    origin: Origin | None = None

    def __post_init__(self) -> None:
        self._check_processes()
        if self.on_error not in ("stop", "skip"):
            raise OptionError(f"on_error is {self.on_error!r}; it can be 'stop' or 'skip'")
        for name in ("share_items", "strict"):
            if isinstance(getattr(self, name), str):
                raise OptionError(f"{name} is {getattr(self, name)!r}; it can be True or False")
        for name in ("on_result", "on_progress"):
            function = getattr(self, name)
            if function is not None and not callable(function):
                raise OptionError(f"{name} is {shorten(function)}; it has to be a function")
        seed: Any = self.seed
        if seed is not None and not (_is_whole(seed) and 0 <= int(seed) < _SEEDS):
            raise OptionError(f"the seed is {seed!r}; it can be a whole number from 0 to 2**64 - 1")

    def _check_processes(self) -> None:
        processes: Any = self.processes
        if processes is None:
            return
        if not _is_whole(processes):
            raise OptionError(
                f"the number of processes is {processes!r}; it must be a whole number, such as 4,"
                f" and at least {self.least_processes}"
            )
        if processes < self.least_processes:
            raise OptionError(
                f"the number of processes is {processes!r}; it must be at least"
                f" {self.least_processes}"
            )


def _is_whole(value: object) -> bool:
    """Return whether it is a whole number, of Python or NumPy; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


class ResultCollector:
    """Takes results as batches and hands them to `on_result` or gathers them for `RunResult`."""

    def __init__(self, on_result: OnResult | None = None) -> None:
        self.outputs: dict[str, dict[str, list[Any]]] = {}
        self._on_result = on_result

    def add(self, pe_id: str, output: str, items: list[Any]) -> None:
        if self._on_result is None:
            self.outputs.setdefault(pe_id, {}).setdefault(output, []).extend(items)
        else:
            for item in items:
                self._on_result(pe_id, output, item)
