"""``dispel4py mappings``, ``check`` and ``draw``, and the list of all commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from functools import partial

from d4py_cli.arguments import (
    Parser,
    about,
    add_output_arguments,
    add_workflow,
    count_of,
    example_note,
)
from d4py_cli.console.reporter import Reporter
from d4py_cli.files.lines import print_message
from d4py_cli.imported import resume_collection
from d4py_cli.job import folder_kept, run_and_report
from d4py_cli.report.command import describe_report, report
from d4py_cli.runs.history import describe_history, history
from d4py_cli.scaling_plot import plot_scaling
from d4py_cli.ui.command import describe_ui, show_ui
from dispel4py.checks.undeclared_state import describe_undeclared_state
from dispel4py.engine.planning.capabilities import refusal
from dispel4py.engine.planning.plan import Plan, make_plan
from dispel4py.errors import D4pyError, GraphError, OptionError, UnknownMappingError
from dispel4py.loading import load_module
from dispel4py.registry import (
    KNOWN_DISTRIBUTIONS,
    CheckingMapping,
    Command,
    JobCommand,
    available,
    distribution_of,
    load_mapping,
    mapping_options,
)
from dispel4py.result import RunOptions
from dispel4py.workflow_graph import WorkflowGraph


def run_command(name: str, arguments: list[str], workflow_arguments: list[str]) -> int:
    """Run one of the commands.

    Args:
        name: which one.
        arguments: what follows it on the command line.
        workflow_arguments: the workflow's own arguments.

    Returns:
        The exit status.

    Raises:
        UsageError: the call or the graph is wrong.
    """
    command, describe = _COMMANDS[name]
    parser = Parser(
        prog=f"dispel4py {name}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    describe(parser)
    options = parser.parse_args(arguments)
    resume_collection()
    if "workflow" in options:
        sys.argv = [options.workflow, *workflow_arguments]
    return command(options)


def run_installed(name: str, command: Command | JobCommand, arguments: list[str]) -> int:
    """Run a command that a mapping's package brings; see `dispel4py.registry.Command`."""
    parser = Parser(
        prog=f"dispel4py {name}",
        description=about(command),
        epilog=f"example:\n  {command.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    resume_collection()
    if isinstance(command, JobCommand):
        add_output_arguments(parser)
        options = parser.parse_args(arguments)
        job = partial(command.run_job, options)
        return run_and_report(job, Reporter(quiet=options.quiet), options)
    options = parser.parse_args(arguments)
    with Reporter(quiet=False):
        return command.run(options, _print_table)


def list_mappings(options: argparse.Namespace) -> int:
    """Show what each installed mapping can do, and the pip line of those that are missing."""
    rows: list[tuple[str, str, str]] = []
    installed = available()
    for name in installed:
        try:
            mapping = load_mapping(name)
            can = ", ".join(mapping.capabilities.declared())
            if mapping.name != name:
                can = f"another name of {mapping.name}"
        except UnknownMappingError as error:
            can = str(error)
        rows.append((name, distribution_of(name), can))
    for name, distribution in KNOWN_DISTRIBUTIONS.items():
        if name not in installed:
            rows.append((name, "not installed", f"pip install '{distribution}'"))
    _print_table(("mapping", "from", "can do"), rows)
    return 0


def check(options: argparse.Namespace) -> int:
    """Show the PEs of a workflow and which installed mappings can run it; try it if asked to.

    Raises:
        WorkflowLoadError: there is no such workflow.
        GraphError: the graph cannot run; every problem is listed.
        InputError: the roots need other inputs than numbers of calls, so it cannot be tried.
        RunError: it failed when it was tried.
    """
    if options.migrate:
        from d4py_cli.migration.command import show_migration

        return show_migration(options.workflow, _print_table)
    graph = _load_graph(options)
    plan = make_plan(graph)
    edges = sum(len(routes) for pe in plan.pes for routes in pe.routes.values())
    size = f"{_count(len(plan.pes), 'PE')}, {_count(edges, 'edge')}"
    rows: list[tuple[str, str]] = []
    able: list[str] = []
    for name in available():
        can, answer = _can_run(name, graph, plan)
        rows.append((name, answer))
        if can:
            able.append(name)
    if able:
        print(f"{options.workflow} can run: {size}")
    else:
        print(f"{options.workflow} cannot run on any mapping that is installed: {size}")
    print()
    _print_table(
        ("PE", "instances", "fed by", "stateful, because"),
        (
            (
                pe.id,
                str(pe.instances),
                ", ".join(plan.pes[i].id for i in pe.upstream) or "the run's inputs",
                " and ".join(pe.stateful_because),
            )
            for pe in plan.pes
        ),
    )
    print()
    _print_table(("mapping", "can run it"), rows)
    if not able:
        return GraphError.exit_status
    return 0 if options.tries is None else _try_out(graph, options.tries, able)


def _can_run(name: str, graph: WorkflowGraph, plan: Plan) -> tuple[bool, str]:
    """Return whether a mapping can run a graph, and the reason or what it needs."""
    try:
        mapping = load_mapping(name)
        reason = refusal(plan, mapping.capabilities)
        if reason is None:
            if not isinstance(mapping, CheckingMapping):
                return True, "yes, by what it declares"
            needed = mapping.check(graph, RunOptions(extra=mapping_options(mapping, {})))
            return True, "yes" if needed is None else f"yes, but: {needed}"
    except D4pyError as error:
        reason = " ".join(str(error).split())
    return False, f"no: {reason}"


def _try_out(graph: WorkflowGraph, count: int, able: list[str]) -> int:
    """Run a graph on `simple`, and print on which mappings its results would differ.

    Args:
        graph: the graph.
        count: how often to call each root.
        able: names of the mappings that can run it.

    Returns:
        The exit status.
    """
    simple = load_mapping("simple")
    stats = simple.run(graph, count, RunOptions(on_result=lambda *result: None)).stats
    changed = {entry.pe_id: entry.changed for entry in stats.instances if entry.changed}
    print()
    print(f"tried with {_count(count, 'call')} of each root:")
    if not changed:
        print("no PE keeps undeclared state, as far as this run shows")
        return 0
    for pe_id, attributes in changed.items():
        print(describe_undeclared_state(pe_id, attributes))
    why = f"may differ: {' and '.join(changed)} may have several instances there"
    rows = [(name, "as on simple" if name == simple.name else why) for name in able]
    print()
    _print_table(("mapping", "results"), rows)
    return GraphError.exit_status


def draw(options: argparse.Namespace) -> int:
    """Show the graph of a workflow as text, or write it to a file as text or image.

    Raises:
        WorkflowLoadError: there is no such workflow.
        UsageError: the picture cannot be made or written.
    """
    from dispel4py import drawing

    with folder_kept():  # else the picture would go where the workflow has changed to
        graph = _load_graph(options)
    if options.output in (None, "-"):
        text = drawing.draw_mermaid(graph) if options.mermaid else drawing.draw(graph)
        print(text, end="")
        return 0
    try:
        drawing.write_image(graph, options.output, "mmd" if options.mermaid else None)
    except OSError as error:
        raise OptionError(f"cannot write {options.output} (-o): {error.strerror}") from error
    return 0


def _describe_mappings(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "What each mapping can do, and how to install those that are missing.\n\n"
        "  stateful               runs PEs that keep state between items\n"
        "  group_by               runs inputs grouped by keys, or all to one instance\n"
        "  broadcast              runs inputs that every instance gets\n"
        "  lifecycle              calls preprocess and postprocess\n"
        "  any_pickle             carries whatever can be pickled\n"
        "  survives_worker_death  carries on when a worker process is killed\n"
        "  multi_host             workers may be on other machines\n"
        "  bounded_memory         a fast producer waits for a slow consumer\n"
        "  shares_calls           several instances make the calls of one root, where it lets them"
    )
    parser.epilog = "example:\n  dispel4py mappings"


def _describe_check(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Every problem of a workflow at once, and which installed mappings can run it: each\n"
        "pickles or copies the PEs as a run would, and reports what it needs.\n"
        "With --try, also which PEs keep state without declaring it, and on which mappings the\n"
        "results would therefore differ.  With --migrate, only what a workflow of dispel4py uses\n"
        "that is gone or changed, and what to write instead; the workflow is not imported.\n"
        "The exit status is 2 if there is a problem."
    )
    parser.epilog = (
        "examples:\n  dispel4py check split_merge\n  dispel4py check split_merge --try 10\n"
        "  dispel4py check split_merge --migrate"
    )
    add_workflow(parser)
    parser.add_argument(
        "--try",
        dest="tries",
        type=count_of,
        metavar="N",
        help="run it in this process, with N calls of each root",
    )
    parser.add_argument(
        "--migrate",
        action="store_true",
        help="list what it uses of dispel4py that is gone or changed",
    )


def _describe_draw(parser: argparse.ArgumentParser) -> None:
    parser.description = "The graph of a workflow, as text (DOT or Mermaid) or as an image."
    parser.epilog = (
        "examples:\n  dispel4py draw split_merge\n"
        "  dispel4py draw split_merge --mermaid\n"
        "  dispel4py draw split_merge -o split_merge.svg"
    )
    add_workflow(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write it there; .dot, .gv and .mmd are text, .png, .svg, .pdf and others images,"
        " for which the program 'dot' must be installed",
    )
    parser.add_argument("--mermaid", action="store_true", help="Mermaid instead of DOT")


def _describe_plot_scaling(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "A picture of active workers and waiting tasks over time, from what a run on a mapping\n"
        "with autoscaling wrote with --scaling-trace.  It is drawn by matplotlib:\n"
        "pip install 'd4py-cli[plot]'"
    )
    parser.epilog = "example:\n  dispel4py plot-scaling trace.csv -o trace.svg"
    parser.add_argument("trace", metavar="FILE", help="CSV: seconds,active,backlog")
    parser.add_argument(
        "-o",
        "--output",
        metavar="PICTURE",
        help="write it there: .png, .svg, .pdf and others (default: FILE, as .png)",
    )


_COMMANDS: dict[
    str,
    tuple[Callable[[argparse.Namespace], int], Callable[[argparse.ArgumentParser], None]],
] = {
    "mappings": (list_mappings, _describe_mappings),
    "check": (check, _describe_check),
    "draw": (draw, _describe_draw),
    "plot-scaling": (plot_scaling, _describe_plot_scaling),
    "history": (lambda options: history(options, _print_table), describe_history),
    "report": (report, describe_report),
    "ui": (show_ui, describe_ui),
}


def _load_graph(options: argparse.Namespace) -> WorkflowGraph:
    loaded = load_module(options.workflow)
    if loaded.is_example:
        print_message(example_note(loaded))
    return loaded.graph(options.attr)


def _print_table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for title in titles:
        table.add_column(title)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # Lines are wrapped on terminals only.
    console = Console(width=None if sys.stdout.isatty() else 10_000)
    with console.capture() as text:
        console.print(table)
    print("\n".join(line.rstrip() for line in text.get().splitlines()))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
