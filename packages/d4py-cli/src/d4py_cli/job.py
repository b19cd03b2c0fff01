"""``dispel4py MAPPING WORKFLOW``: load a workflow, run it, report its results."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from d4py_cli.arguments import check_mapping_name, example_note, parse_job
from d4py_cli.console.reporter import Reporter
from d4py_cli.console.results import print_outputs, print_outputs_so_far
from d4py_cli.console.skipped import FailureLines, check_skipped, summary
from d4py_cli.files.lines import OutputClosedError, is_print_to_closed_output, print_message
from d4py_cli.imported import resume_collection, workflow_exempt
from d4py_cli.inputs import read_inputs
from d4py_cli.output.choosing import open_output
from d4py_cli.records.choosing import (
    FORMER_NAMES,
    Workflow,
    announce_writing,
    check_written,
    open_records,
    where_all,
)
from dispel4py.errors import OptionError, RunError, UnknownMappingError, name_list
from dispel4py.loading import LoadedWorkflow, load_module
from dispel4py.registry import CollectiveMapping, JoiningMapping, Mapping, load_mapping
from dispel4py.result import RunOptions, RunResult
from dispel4py.running import execute_run, run_on

if TYPE_CHECKING:
    from d4py_cli.output.collected import CollectedOutput
    from d4py_cli.output.json_lines import JsonLines


def run_job(name: str, arguments: list[str], workflow_arguments: list[str]) -> int:
    """Run a workflow.

    Args:
        name: Name of a mapping, or its old module path.
        arguments: The rest of the command line.
        workflow_arguments: Arguments for the workflow.

    Returns:
        The exit status.

    Raises:
        UsageError: The call or the graph is wrong; nothing was started.
        RunError: The run failed.
        OutputClosedError: The reader of standard output has closed it.
    """
    if "." in name:
        from dispel4py.new.processor import mapping_name

        name = mapping_name(name)
    try:
        mapping = load_mapping(FORMER_NAMES.get(name, name))
    except UnknownMappingError:
        check_mapping_name(name, arguments)
        raise
    resume_collection()
    if isinstance(mapping, CollectiveMapping):
        with mapping.collective() as status:
            return (
                _run_job_here(name, mapping, arguments, workflow_arguments)
                if status is None
                else status
            )
    return _run_job_here(name, mapping, arguments, workflow_arguments)


def _run_job_here(
    name: str, mapping: Mapping, arguments: list[str], workflow_arguments: list[str]
) -> int:
    options, extra = parse_job(name, mapping, arguments)
    if options.workflow is None:
        assert isinstance(mapping, JoiningMapping)
        with Reporter(quiet=options.quiet):
            mapping.join_run(RunOptions(processes=options.num, extra=extra))
        return 0
    if options.output and not isinstance(mapping, CollectiveMapping):  # one of whose ranks writes
        _check_is_only_task(options.output)
    inputs = read_inputs(options)
    sys.argv = [options.workflow, *workflow_arguments]
    with folder_kept():
        loaded = load_module(options.workflow)
        graph = loaded.graph(options.attr)
        folder = _current_folder()
    reporter = make_reporter(options)
    notes = [*_notes(loaded, options, inputs, extra)]

    def run(where: RunOptions) -> RunResult:
        for note in notes:
            reporter.write(note)
        run_options = replace(
            where,
            processes=options.num,
            on_error=options.on_error,
            share_items=options.share_items,
            extra=extra,
            least_processes=getattr(mapping, "least_processes", 1),
            origin=loaded.origin(graph),
        )
        with folder_kept(), workflow_exempt():
            _enter(folder)
            return run_on(mapping, graph, inputs, run_options)

    how = RunOptions(strict=options.strict, seed=options.seed)
    return run_and_report(run, reporter, options, how, Workflow(loaded.module.__file__, graph))


@contextmanager
def folder_kept() -> Iterator[None]:
    """Restore the current folder, which a workflow or a PE of `simple` may change.

    Names of files on the command line are relative to the folder in which it was typed.
    """
    before = _current_folder()
    try:
        yield
    finally:
        _enter(before)


def _current_folder() -> str | None:
    """Return the current folder; None if it has been removed."""
    try:
        return os.getcwd()
    except OSError:
        return None


def _enter(folder: str | None) -> None:
    if folder is not None:
        with suppress(OSError):  # it has been removed
            os.chdir(folder)


def make_reporter(options: argparse.Namespace) -> Reporter:
    """Return a live table if standard error is a terminal that can show one, else plain lines.

    Args:
        options: Options of `add_output_arguments`.
    """
    can_show = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if can_show and not options.quiet and options.progress is None:
        from d4py_cli.console.live_reporter import LiveReporter

        return LiveReporter(per_process=options.per_process)
    return Reporter(
        quiet=options.quiet, progress_seconds=options.progress, per_process=options.per_process
    )


def run_and_report(
    run: Callable[[RunOptions], RunResult],
    reporter: Reporter,
    options: argparse.Namespace,
    how: RunOptions | None = None,
    workflow: Workflow | None = None,
) -> int:
    """Run a workflow, and write its results and messages where the options say.

    Args:
        run: Runs the workflow with the given destinations of results and progress.
        reporter: Writes the messages.
        options: Options of `add_output_arguments`.
        how: Other options of the run.
        workflow: What is run; None for a run that was started elsewhere.

    Returns:
        The exit status.

    Raises:
        D4pyError: See `run_job`; also if too many items were skipped.
        OutputClosedError: The reader of standard output has closed it.
    """
    _check_apart(options)
    with ExitStack() as stack:
        records = open_records(options, workflow, stack)  # written after the results
        with ExitStack() as files:
            lines = open_output(options.output) if options.output else None
            if lines is not None:
                files.enter_context(lines)
            failures = FailureLines(options.failures) if options.failures else None
            if failures is not None:
                files.enter_context(failures)
            files.enter_context(reporter)
            where = replace(
                how or RunOptions(),
                on_result=None if lines is None else lines.write,
                on_failure=None if failures is None else failures.write,
                observers=reporter.observers(records),
            )
            try:
                result = execute_run(run, where)
            except BaseException as error:
                if _any_is_closed(lines, failures):
                    raise OutputClosedError from error
                reporter.fail(error)
                if lines is None:
                    print_outputs_so_far(error, where_all(records))
                if isinstance(error, KeyboardInterrupt):
                    announce_writing(records)
                elif is_print_to_closed_output(error):
                    _refuse_half_written(options.output, options.failures)
                raise
            reporter.finish(result)
            for record in records:
                record.finish(result)
        for line in summary(result.failure_counts, written_to_file=failures is not None):
            print_message(line)
        if lines is None:
            print_outputs(result)
    check_skipped(result, fail_on_skipped=options.fail_on_skipped)
    check_written(records)
    return 0


def _check_is_only_task(output: str) -> None:
    """Refuse to write a file that other tasks of srun would write, too.

    Raises:
        OptionError: srun has started this process as one of several.
    """
    from dispel4py.processes.slurm import step_tasks

    tasks = step_tasks()
    if tasks > 1:
        raise OptionError(
            f"srun has started {tasks} processes, and each of them would run the workflow and write"
            f" {output} (--output); start one: srun -n 1, or leave srun out"
        )


def _check_apart(options: argparse.Namespace) -> None:
    """Refuse two options that name one file, where one would replace what the other has written.

    Raises:
        OptionError: there are such options.
    """
    named: dict[str, str] = {}
    for option in ("output", "failures", "log", "report", "trace"):
        target = getattr(options, option)
        if target is None or target == "-":
            continue
        path = os.path.realpath(target)
        if os.path.exists(path) and not os.path.isfile(path):  # such as /dev/null
            continue
        if path in named:
            raise OptionError(
                f"--{named[path]} and --{option} name the same file, {target}; choose another name"
                " for one of them"
            )
        named[path] = option


def _any_is_closed(*files: JsonLines | CollectedOutput | FailureLines | None) -> bool:
    """Return whether the reader of one of the files has closed it."""
    return any(file is not None and file.is_closed for file in files)


def _refuse_half_written(*targets: str | None) -> None:
    """Say which files lack results, since PEs can no longer print: `head` and the like say nothing.

    Raises:
        RunError: there are such files.
    """
    if files := [target for target in targets if target not in (None, "-")]:
        raise RunError(
            "the run has ended early: a PE printed to standard output, which its reader has closed;"
            f" {name_list(files)} has only what came before; to run to the end, write what PEs"
            " print to a file, too: > FILE"
        )


def _notes(
    loaded: LoadedWorkflow, options: argparse.Namespace, inputs: Any, extra: dict[str, Any]
) -> Iterator[str]:
    """Yield a note for each option that is not used, and for an example that was chosen."""
    if loaded.is_example:
        yield example_note(loaded)
    if options.file is not None and options.data is not None:
        yield "-d is ignored, because -f is given"
    if options.iter is not None and isinstance(inputs, dict):
        yield "-i is ignored, because -f or -d gives the calls of each root"
    if options.simple and "simple" not in extra:
        yield "-s is ignored: this mapping does not support it"
