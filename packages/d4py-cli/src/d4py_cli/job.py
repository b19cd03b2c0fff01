"""``dispel4py MAPPING WORKFLOW``: load a workflow, run it, hand out its results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from d4py_cli.arguments import check_mapping_name, describe_example, parse_job
from d4py_cli.inputs import read_inputs
from d4py_cli.lines import OutputClosedError
from d4py_cli.reporting import Reporter, make_reporter
from d4py_cli.results import JsonLines, print_outputs
from d4py_cli.skipped import FailureLines, check_skipped, summary
from dispel4py.loading import LoadedWorkflow, load_module
from dispel4py.registry import CollectiveMapping, JoiningMapping, Mapping, load_mapping
from dispel4py.result import RunOptions, RunResult
from dispel4py.running import carry_out, run_on


def run_job(name: str, arguments: list[str], for_workflow: list[str]) -> int:
    """Run a workflow.

    Args:
        name: a mapping's name, or its old module path.
        arguments: the rest of the command line.
        for_workflow: the workflow's own arguments.

    Returns:
        The exit status.

    Raises:
        UsageError: the call or the graph is wrong; nothing was started.
        RunError: the run failed.
        OutputClosedError: nobody reads the results any more.
    """
    if "." in name:
        from dispel4py.new.processor import mapping_name

        name = mapping_name(name)
    check_mapping_name(name, arguments)
    mapping = load_mapping(name)
    if isinstance(mapping, CollectiveMapping):
        with mapping.collective() as status:
            return _lead_job(name, mapping, arguments, for_workflow) if status is None else status
    return _lead_job(name, mapping, arguments, for_workflow)


def _lead_job(name: str, mapping: Mapping, arguments: list[str], for_workflow: list[str]) -> int:
    options, extra = parse_job(name, mapping, arguments)
    if options.workflow is None:
        assert isinstance(mapping, JoiningMapping)
        with Reporter(quiet=options.quiet):
            mapping.join_run(RunOptions(processes=options.num, extra=extra))
        return 0
    inputs = read_inputs(options)
    sys.argv = [options.workflow, *for_workflow]
    loaded = load_module(options.workflow)
    graph = loaded.graph(options.attr)
    reporter = make_reporter(name, graph, quiet=options.quiet)
    remarks = [*_remarks(loaded, options, inputs, extra)]

    def run(where: RunOptions) -> RunResult:
        for remark in remarks:
            reporter.say(remark)
        run_options = replace(
            where,
            processes=options.num,
            on_error=options.on_error,
            share_items=options.share_items,
            extra=extra,
            least_processes=getattr(mapping, "least_processes", 1),
            origin=loaded.origin(graph),
        )
        return run_on(mapping, graph, inputs, run_options)

    how = RunOptions(strict=options.strict, seed=options.seed)
    return hand_out(run, reporter, options, how)


def hand_out(
    run: Callable[[RunOptions], RunResult],
    reporter: Reporter,
    options: argparse.Namespace,
    how: RunOptions | None = None,
) -> int:
    """Do a run, and say where its results and messages go; the exit status.

    Args:
        run: does it, given where results and progress go.
        reporter: gets the messages.
        options: what `add_shown` adds.
        how: what the run is asked for beside; None if nothing.

    Raises:
        D4pyError: see `run_job`; also where a run is done of which too much was skipped.
        OutputClosedError: nobody reads the results any more.
    """
    with ExitStack() as stack:
        lines = stack.enter_context(JsonLines(options.output)) if options.output else None
        failures = stack.enter_context(FailureLines(options.failures)) if options.failures else None
        stack.enter_context(reporter)
        where = replace(
            how or RunOptions(),
            on_result=None if lines is None else lines.write,
            on_failure=None if failures is None else failures.write,
            on_progress=reporter.on_progress,
        )
        try:
            result = carry_out(run, where)
        except Exception as error:
            if any(file is not None and file.is_closed for file in (lines, failures)):
                raise OutputClosedError from error
            reporter.fail(error)
            raise
        reporter.finish(result)
    for line in summary(result.failure_counts, all_are_written=failures is not None):
        print(line, file=sys.stderr)
    if lines is None:
        print_outputs(result)
    check_skipped(result, fail_on_skipped=options.fail_on_skipped)
    return 0


def _remarks(
    loaded: LoadedWorkflow, options: argparse.Namespace, inputs: Any, extra: dict[str, Any]
) -> Iterator[str]:
    """What is done otherwise than the command line may lead to think."""
    if loaded.is_example:
        yield describe_example(loaded)
    if options.file is not None and options.data is not None:
        yield "-d is not used: -f goes before it"
    if options.iter is not None and isinstance(inputs, dict):
        yield "-i is not used: -f or -d says how often each root is called"
    if options.simple and "simple" not in extra:
        yield "-s has no effect on this mapping"
