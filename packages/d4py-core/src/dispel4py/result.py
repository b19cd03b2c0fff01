"""The options of a run and what it returns: `RunOptions`, `RunResult` and its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from dispel4py.errors import OptionError, ProcessingError, shorten
from dispel4py.files.entry_points import find_object_reference, load_object

if TYPE_CHECKING:
    from dispel4py.events import Event, Observer
    from dispel4py.loading import Origin

#: Number of seeds: they go from 0 to this number minus 1.
_SEEDS = 1 << 64
#: Called with each result as it arrives: id of the PE, name of the output, data.
OnResult = Callable[[str, str, Any], None]


@dataclass(frozen=True)
class Failure:
    """An item that was skipped with ``on_error="skip"``.

    Attributes:
        error: the error, with PE, instance, phase and traceback; its `__cause__` is the exception
            that the PE raised, see `ProcessingError`.
        item: the item; None outside ``process``, and if it cannot be pickled.
    """

    error: ProcessingError
    item: Any = None

    def __post_init__(self) -> None:
        self.error.drop_frames()  # they refer to the PE and its data

    @property
    def pe_id(self) -> str:
        """Id of the PE."""
        return self.error.pe_id

    @property
    def instance(self) -> int:
        """Number of the instance."""
        return self.error.instance

    def __str__(self) -> str:
        return str(self.error)


#: Called with each failure as it arrives.
OnFailure = Callable[[Failure], None]


@dataclass
class FailureCount:
    """The number of calls of a PE that failed in the same phase with the same type of exception.

    Attributes:
        pe_id: id of the PE.
        phase: ``"preprocess"``, ``"process"`` or ``"postprocess"``.
        exception_type: see `ProcessingError`.
        first: the first of these failures, as text.
        failures: their number.
    """

    pe_id: str
    phase: str
    exception_type: str
    first: str
    failures: int = 0


@dataclass
class InstanceStats:
    """Counts and times of one instance (or one worker's replica) of a PE.

    Attributes:
        pe_id: id of the PE.
        rank: number of the process that ran it.
        items: number of calls of ``process``.
        seconds: time in calls of the PE.
        changed: attributes that the PE changed though it declares no state.
        files: files that it had open for writing, each with its name and an identity that is the
            same in all processes; two instances with the same file overwrite each other.
    """

    pe_id: str
    rank: int
    items: int = 0
    seconds: float = 0.0
    changed: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ScalingPoint:
    """The state of a run with autoscaling at one time.

    Attributes:
        seconds: time since the start of the run.
        active: number of workers that are not paused.
        backlog: number of tasks that wait for a worker.
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
        instances: an entry for each instance that was called.
        notes: messages about the run, such as the loss of a worker.
        scaling: active workers and backlog over time, from mappings with autoscaling; with fewer
            points per second for a long run.
        worker_seconds: sum of the times in which workers were active, from mappings that share
            work among them.
        seed: seed of the random numbers; see `dispel4py.run`.
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
        """Return the number of calls of ``process`` for each PE id, over all instances."""
        totals: dict[str, int] = {}
        for entry in self.instances:
            totals[entry.pe_id] = totals.get(entry.pe_id, 0) + entry.items
        return totals

    def _repr_html_(self) -> str:
        """Return a table of the PEs for notebooks."""
        from dispel4py.html_tables import html_table

        entries: dict[str, list[InstanceStats]] = {}
        for entry in self.instances:
            entries.setdefault(entry.pe_id, []).append(entry)
        whole = sum(entry.seconds for entry in self.instances)
        rows = []
        for pe_id, of_pe in entries.items():
            seconds = sum(entry.seconds for entry in of_pe)
            share = f"{100 * seconds / whole:.0f}%" if whole else ""
            items = sum(entry.items for entry in of_pe)
            rows.append((pe_id, str(len(of_pe)), f"{items:,}", f"{seconds:.3f}", share))
        caption = f"{self.mapping}, {self.processes} processes, {self.seconds:.2f} s"
        titles = ("PE", "instances", "items", "seconds in calls", "share")
        return html_table(titles, rows, f"{caption}, seed {self.seed}")


@dataclass
class RunResult:
    """The result of a run.

    Attributes:
        outputs: PE id → output name → data written to that output, for outputs that are not
            connected; empty with `RunOptions.on_result`.
        failures: items skipped with ``on_error="skip"``: the first 10,000, or fewer if items and
            tracebacks take more than 64 MiB; empty with `RunOptions.on_failure`.
        stats: counts and times.
        failure_counts: number of all skipped items, by PE, phase and type of exception.
        events: what happened, for `report`, if the run was recorded; see `dispel4py.run`.
    """

    outputs: dict[str, dict[str, list[Any]]]
    failures: list[Failure]
    stats: RunStats
    failure_counts: list[FailureCount] = field(default_factory=list)
    events: list[Event] = field(default_factory=list, repr=False)

    def report(self, path: str | PathLike[str]) -> None:
        """Write a page about the run, which a browser shows without a network.

        It has totals only, unless the run was recorded: ``run(..., record=True)``.

        Args:
            path: name of the file; it is replaced.

        Raises:
            OptionError: d4py-cli is not installed, or a library that it needs for this.
            RunError: the file cannot be written.
        """
        reference = find_object_reference("dispel4py.reports", "html")
        if reference is None:
            raise OptionError(
                "a report is written by d4py-cli, which is not installed: run"
                " pip install 'd4py-cli[report]'"
            )
        load_object(reference)(self, path)

    def _repr_html_(self) -> str:
        """Return tables of results, failures and PEs for notebooks."""
        from dispel4py.html_tables import html_table

        rows = [
            (pe_id, output, f"{len(items):,}", ", ".join(shorten(item, 60) for item in items[:3]))
            for pe_id, of_pe in self.outputs.items()
            for output, items in of_pe.items()
        ]
        tables = [html_table(("PE", "output", "results", "the first"), rows)]
        if self.failure_counts:
            failed = [
                (count.pe_id, count.exception_type, f"{count.failures:,}", count.first)
                for count in self.failure_counts
            ]
            tables.append(html_table(("PE", "exception", "failures", "the first"), failed))
        return "".join([*tables, self.stats._repr_html_()])


@dataclass(frozen=True, eq=False)
class RunOptions:
    """The options of a run, which are the same for every mapping but for `extra`.

    Attributes:
        processes: number of processes; None lets the mapping choose.
        on_result: called with results as they arrive, instead of `RunResult.outputs`.
        on_error: ``"stop"`` ends the run at the first exception of a PE, ``"skip"`` drops the item
            and continues.
        on_failure: called with skipped items as they arrive, instead of `RunResult.failures`.
        share_items: True passes mutable items on without copying, for PEs that do not change what
            they receive or have sent.
        on_progress: called a few times a second with the statistics so far.
        observers: get the events of the run; see `dispel4py.events`.
        extra: the mapping's own options by name.
        least_processes: least number of processes of the mapping; 0 where other hosts take part.
        strict: True ends the run when a PE keeps undeclared state.
        seed: seed of the random numbers, from 0 to 2**64 - 1; None draws one.
        origin: module and name of the graph, where each process can import it; None where a
            program has created the graph.

    Raises:
        OptionError: an option has an invalid value.
    """

    processes: int | None = None
    on_result: OnResult | None = None
    on_error: Literal["stop", "skip"] = "stop"
    on_failure: OnFailure | None = None
    share_items: bool = False
    on_progress: Callable[[RunStats], None] | None = None
    observers: Sequence[Observer] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    least_processes: int = 1
    strict: bool = False
    seed: int | None = None
    origin: Origin | None = None

    def __post_init__(self) -> None:
        self._check_processes()
        if self.on_error not in ("stop", "skip"):
            raise OptionError(f"on_error is {self.on_error!r}; it must be 'stop' or 'skip'")
        for name in ("share_items", "strict"):
            if isinstance(getattr(self, name), str):
                raise OptionError(f"{name} is {getattr(self, name)!r}; it must be True or False")
        for name in ("on_result", "on_progress"):
            function = getattr(self, name)
            if function is not None and not callable(function):
                raise OptionError(f"{name} is {shorten(function)}; it must be a function")
        for observer in self.observers:
            if not callable(getattr(observer, "on_event", None)):
                raise OptionError(
                    f"an observer is {shorten(observer)}; it must have a method on_event(event)"
                )
        seed: Any = self.seed
        if seed is not None and not (_is_integer(seed) and 0 <= int(seed) < _SEEDS):
            raise OptionError(
                f"the seed is {seed!r}; it must be a whole number from 0 to 2**64 - 1"
            )

    def _check_processes(self) -> None:
        processes: Any = self.processes
        if processes is None:
            return
        if not _is_integer(processes):
            raise OptionError(
                f"the number of processes is {processes!r}; it must be a whole number, such as 4,"
                f" and at least {self.least_processes}"
            )
        if processes < self.least_processes:
            raise OptionError(
                f"the number of processes is {processes!r}; it must be at least"
                f" {self.least_processes}"
            )


def _is_integer(value: object) -> bool:
    """Return whether a value is an integer of Python or NumPy and no bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


class ResultCollector:
    """Collects results for `RunResult.outputs`, or passes them to `on_result`.

    Args:
        on_result: see `RunOptions`.

    Attributes:
        outputs: see `RunResult`; empty with `on_result`.
    """

    def __init__(self, on_result: OnResult | None = None) -> None:
        self.outputs: dict[str, dict[str, list[Any]]] = {}
        self._on_result = on_result

    def add(self, pe_id: str, output: str, items: list[Any]) -> None:
        """Add a batch of results of an output."""
        if self._on_result is None:
            self.outputs.setdefault(pe_id, {}).setdefault(output, []).extend(items)
        else:
            for item in items:
                self._on_result(pe_id, output, item)
