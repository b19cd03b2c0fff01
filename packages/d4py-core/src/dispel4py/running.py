"""`run`, which runs a graph on any mapping."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from dispel4py.checks.calls import check_graph, check_mapping
from dispel4py.checks.silent_pes import silent_pes
from dispel4py.checks.undeclared_state import (
    UndeclaredReporter,
    describe_shared_files,
    shared_files,
)
from dispel4py.engine.failures import count_failures
from dispel4py.engine.random_streams import draw_seed, preserved_generators
from dispel4py.engine.run_events import RunEvents
from dispel4py.errors import (
    D4pyError,
    OptionError,
    ServiceError,
    UndeclaredStateError,
    drop_frames,
)
from dispel4py.exceptions.tracebacks import from_called_frame
from dispel4py.logs import RUN_LOG
from dispel4py.registry import Mapping, load_mapping, mapping_options
from dispel4py.result import OnFailure, OnResult, RunOptions, RunResult, RunStats
from dispel4py.workflow_graph import WorkflowGraph

if TYPE_CHECKING:
    from dispel4py.events import Observer

_MIXED_NUMBERS = (
    "numbers were drawn from the global random generators of Python or NumPy while PEs were called"
    " on several threads of this process, which share them, so they may be others in the next run"
    " with the same seed; for numbers that repeat, run one workflow at a time, on another mapping"
    " than threads"
)


def run(
    graph: WorkflowGraph,
    mapping: str | Mapping = "simple",
    inputs: Any = None,
    processes: int | Literal["auto"] | None = None,
    *,
    on_result: OnResult | None = None,
    on_error: Literal["stop", "skip"] = "stop",
    on_failure: OnFailure | None = None,
    share_items: bool = False,
    on_progress: Callable[[RunStats], None] | None = None,
    observers: Sequence[Observer] = (),
    progress: bool = False,
    record: bool = False,
    strict: bool = False,
    seed: int | None = None,
    **options: Any,
) -> RunResult:
    """Run a workflow and wait for its end.  The graph is not changed.

    Args:
        graph: the workflow.
        mapping: the name of an installed mapping, or an instance of one.
        inputs: what the roots are called with.  A number n means n calls of every root with
            ``{}``; None means one.  An iterable of dicts means a call of every root with each of
            them.  A dict has a number or an iterable of dicts for each root, with the PE, its id or
            its name as key.
        processes: number of processes; ``"auto"`` is one per core, None lets the mapping choose.
        on_result: called as ``on_result(pe_id, output, data)`` with each result as it arrives;
            results are not collected then.
        on_error: ``"stop"`` ends the run at the first exception of a PE, ``"skip"`` drops the item
            and continues.
        on_failure: called with each `Failure` as it arrives where errors are skipped;
            `RunResult.failures`, which has the first 10,000 otherwise, is empty then.
        share_items: True passes mutable items between PEs without copying them.
        on_progress: called a few times a second with the `RunStats` so far.
        observers: get the events of the run, each in a thread of its own; see `dispel4py.events`.
        progress: True shows how far the run is: a table in a notebook, lines on standard error
            elsewhere.
        record: True keeps what happens in `RunResult.events`, for `RunResult.report`.
        strict: True refuses PEs that keep undeclared state: they change their own attributes
            without `stateful`, `single` or a grouping.  Otherwise a warning is logged.
        seed: seed of the random numbers that PEs draw from Python's and NumPy's global generators,
            which differ for each instance: from 0 to 2**64 - 1.  None draws a seed from these
            generators.  The seed is in `RunStats.seed`.
        **options: the mapping's own options, such as ``redis_url``.

    Returns:
        The results, the failures and the statistics of the run.

    Raises:
        TypeError: the graph is no `WorkflowGraph`.
        UsageError: the call or the graph is wrong; nothing was started.
        RunError: the run failed; a `ProcessingError` where a PE raised.  Its attribute `result`
            holds the results, failures and statistics until then.
    """
    try:
        check_graph(graph)
        if not isinstance(mapping, str):
            check_mapping(mapping)
        if isinstance(processes, str) and processes == "auto":
            from dispel4py.processes.cores import usable_cores

            processes = usable_cores()
        chosen = load_mapping(mapping) if isinstance(mapping, str) else mapping
        run_options = RunOptions(
            processes=processes,
            on_result=on_result,
            on_error=on_error,
            on_failure=on_failure,
            share_items=share_items,
            on_progress=on_progress,
            observers=_with_progress(observers) if progress else observers,
            extra=mapping_options(chosen, options),
            least_processes=getattr(chosen, "least_processes", 1),
            strict=strict,
            seed=seed,
        )
        if record:
            return _recorded(lambda how: run_on(chosen, graph, inputs, how), run_options)
        return execute_run(lambda how: run_on(chosen, graph, inputs, how), run_options)
    except ServiceError as error:
        drop_frames(error)  # its causes are errors of the service's client, which it repeats
        _spell_for_python(error, mapping)
        raise
    except D4pyError as error:
        # The frames between here and the cause are d4py's, and would hide those of the user.
        error.__traceback__ = None
        _spell_for_python(error, mapping)
        raise
    except KeyboardInterrupt as error:
        error.__traceback__ = from_called_frame(error.__traceback__)
        raise
    except BaseException as error:  # of a callback; else it is a fault of d4py, with all frames
        error.__traceback__ = from_called_frame(error.__traceback__) or error.__traceback__
        raise


def _spell_for_python(error: D4pyError, mapping: str | Mapping) -> None:
    """Let a message that names options of the command name keywords of `run`."""
    if type(error).__str__ is BaseException.__str__ and "--" in str(error):
        from dispel4py.option_names import spelled_for_python

        error.args = (spelled_for_python(str(error), mapping),)


def run_on(mapping: Mapping, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
    """Run a graph on a mapping; log PEs that sent nothing, see `silent_pes`.

    Raises:
        UsageError: nothing was started.
        RunError: the run failed.
    """
    result = mapping.run(graph, inputs, options)
    for note in silent_pes(graph, result, streamed=options.on_result is not None):
        RUN_LOG.warning("%s", note)
        result.stats.notes.append(note)
    return result


def execute_run(do: Callable[[RunOptions], RunResult], options: RunOptions) -> RunResult:
    """Execute a run with a seed, and log undeclared state as soon as it is known.

    Args:
        do: runs a graph with the options that it is called with.
        options: options of the run; without a seed, one is drawn.

    Raises:
        UsageError: nothing was started.
        RunError: the run failed.
    """
    events = _events_for(options.observers)
    options = replace(options, observers=(events,))
    try:
        result = _execute(do, options)
    except BaseException as error:
        with suppress(AttributeError):  # an exception of a library, with slots
            error.result = events.result  # type: ignore[attr-defined]
        events.end(error)
        raise
    events.end(None)
    return result


def _with_progress(observers: Sequence[Observer]) -> Sequence[Observer]:
    from dispel4py.observing.shown_progress import show_progress

    return [*observers, show_progress()]


def _recorded(do: Callable[[RunOptions], RunResult], options: RunOptions) -> RunResult:
    """Execute a run, and keep its events in its result, also in that of a run that fails."""
    from dispel4py.observing.event_recording import EventRecording

    recording = EventRecording()
    try:
        result = execute_run(do, replace(options, observers=[*options.observers, recording]))
    except BaseException as error:
        failed: RunResult | None = getattr(error, "result", None)
        if failed is not None:
            failed.events = recording.events()
        raise
    result.events = recording.events()
    return result


def _events_for(observers: Sequence[Observer]) -> RunEvents:
    """Return what gives observers the events of a run.

    Raises:
        OptionError: Python has no threads here.
    """
    if not observers:
        return RunEvents()
    if len(observers) == 1 and isinstance(observers[0], RunEvents):
        return observers[0]
    from dispel4py.observing.event_stream import EventStream
    from dispel4py.processes import is_webassembly

    if is_webassembly():
        raise OptionError(
            "observers of a run, its record and its progress need threads, which Python on"
            f" {sys.platform} lacks; run it without"
        )

    return EventStream(observers)


def _execute(do: Callable[[RunOptions], RunResult], options: RunOptions) -> RunResult:
    reporter = UndeclaredReporter(options.on_progress)
    if options.on_progress is not None:
        options = replace(options, on_progress=reporter.progress)
    if options.seed is None:
        options = replace(options, seed=draw_seed())
    with preserved_generators() as caller:
        result = do(options)
    if caller.is_mixed:
        RUN_LOG.warning("%s", _MIXED_NUMBERS)
        result.stats.notes.append(_MIXED_NUMBERS)
    if options.strict:
        for pe_id, names in shared_files(result.stats).items():
            raise UndeclaredStateError(pe_id, names, describe_shared_files(pe_id, names))
    count_failures(result, options.on_failure)
    reporter.report(result.stats)
    if result.stats.seed is None:
        result.stats.seed = options.seed
    return result
