"""`run`: the one function that runs a graph on any mapping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from dispel4py.registry import Mapping, load_mapping, mapping_options
from dispel4py.result import OnResult, RunOptions, RunResult, RunStats
from dispel4py.workflow_graph import WorkflowGraph


def run(
    graph: WorkflowGraph,
    mapping: str | Mapping = "simple",
    inputs: Any = None,
    processes: int | Literal["auto"] | None = None,
    *,
    on_result: OnResult | None = None,
    on_error: Literal["stop", "skip"] = "stop",
    share_items: bool = False,
    on_progress: Callable[[RunStats], None] | None = None,
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
        share_items: do not copy mutable items between PEs.
        on_progress: called a few times a second with the `RunStats` so far.
        **options: the mapping's own options, such as ``redis_url``.

    Raises:
        UsageError: the call or the graph is wrong; nothing was started.
        RunError: the run failed; a `ProcessingError` where a PE raised.
    """
    if processes == "auto":
        from dispel4py.processes import usable_cores

        processes = usable_cores()
    chosen = load_mapping(mapping) if isinstance(mapping, str) else mapping
    return chosen.run(
        graph,
        inputs,
        RunOptions(
            processes=processes,
            on_result=on_result,
            on_error=on_error,
            share_items=share_items,
            on_progress=on_progress,
            extra=mapping_options(chosen, options),
            least_processes=getattr(chosen, "least_processes", 1),
        ),
    )
