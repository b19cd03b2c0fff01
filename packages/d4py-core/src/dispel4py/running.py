"""`run`: the one function that runs a graph on any mapping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

from dispel4py.checks.calls import check_graph, check_mapping
from dispel4py.checks.silent_pes import silent_pes
from dispel4py.checks.undeclared_state import UndeclaredReporter, describe_files, shared_files
from dispel4py.engine.failures import count_failures
from dispel4py.engine.random_streams import draw_seed, preserved_generators
from dispel4py.errors import ProcessingError, UndeclaredStateError
from dispel4py.logs import RUN_LOG
from dispel4py.registry import Mapping, load_mapping, mapping_options
from dispel4py.result import OnFailure, OnResult, RunOptions, RunResult, RunStats
from dispel4py.workflow_graph import WorkflowGraph


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
    strict: bool = False,
    seed: int | None = None,
    **options: Any,
) -> RunResult:
    """Run a workflow and wait for its end.  The graph is left as it was.

    Args:
        graph: the workflow.
        mapping: name of an installed mapping, or a mapping itself.
        inputs: what the roots are called with: a number n means n calls with ``{}`` of every
            root (None means one), a dict says it per root, keyed by the PE object, its id or its
            name, with a number or an iterable of dicts each.
        processes: number of processes; ``"auto"`` is one per core, None lets the mapping choose.
        on_result: ``on_result(pe_id, output, data)`` gets results as they come; nothing is
            collected then.
        on_error: ``"stop"`` or ``"skip"``.
        on_failure: ``on_failure(failure)`` gets each `Failure` as it comes where errors are
            skipped; `RunResult.failures`, which has the first 10,000 otherwise, is empty then.
        share_items: do not copy mutable items between PEs.
        on_progress: called a few times a second with the `RunStats` so far.
        strict: refuse PEs that keep state and do not say so.  They change their own attributes
            without `stateful`, `single` or a grouping, and are warned of otherwise.
        seed: what random numbers follow from that PEs draw from Python's and NumPy's global
            generators, each instance its own: a number from 0 to 2**64 - 1.  None draws one from
            those generators here.  `RunStats.seed` has it.
        **options: the mapping's own options, such as ``redis_url``.

    Raises:
        TypeError: the graph is none.
        UsageError: the call or the graph is wrong; nothing was started.
        RunError: the run failed; a `ProcessingError` where a PE raised.
    """
    check_graph(graph)
    if not isinstance(mapping, str):
        check_mapping(mapping)
    if isinstance(processes, str) and processes == "auto":
        from dispel4py.processes.start_methods import usable_cores

        processes = usable_cores()
    chosen = load_mapping(mapping) if isinstance(mapping, str) else mapping
    run_options = RunOptions(
        processes=processes,
        on_result=on_result,
        on_error=on_error,
        on_failure=on_failure,
        share_items=share_items,
        on_progress=on_progress,
        extra=mapping_options(chosen, options),
        least_processes=getattr(chosen, "least_processes", 1),
        strict=strict,
        seed=seed,
    )
    try:
        return carry_out(lambda how: run_on(chosen, graph, inputs, how), run_options)
    except ProcessingError as error:
        # What lies between here and the PE is d4py's own, and would hide the frames of the PE.
        error.__traceback__ = None
        raise


def run_on(mapping: Mapping, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
    """Run a graph on a mapping; note what the author may not have meant.

    Raises:
        UsageError: nothing was started.
        RunError: the run failed.
    """
    result = mapping.run(graph, inputs, options)
    for note in silent_pes(graph, result, streamed=options.on_result is not None):
        RUN_LOG.warning("%s", note)
        result.stats.notes.append(note)
    return result


def carry_out(do: Callable[[RunOptions], RunResult], options: RunOptions) -> RunResult:
    """Do a run, with a seed; warn of undeclared state, as soon as progress shows it.

    Args:
        do: does it, on whatever mapping.
        options: its options.
    """
    reporter = UndeclaredReporter(options.on_progress)
    if options.on_progress is not None:
        options = replace(options, on_progress=reporter.progress)
    if options.seed is None:
        options = replace(options, seed=draw_seed())
    with preserved_generators():
        result = do(options)
    if options.strict:
        for pe_id, names in shared_files(result.stats).items():
            raise UndeclaredStateError(pe_id, names, describe_files(pe_id, names))
    count_failures(result, options.on_failure)
    reporter.report(result.stats)
    if result.stats.seed is None:
        result.stats.seed = options.seed
    return result
