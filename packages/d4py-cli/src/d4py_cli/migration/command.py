"""Prints what a workflow of dispel4py uses that is gone or changed, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from d4py_cli.migration.findings import find
from dispel4py.errors import GraphError, WorkflowLoadError
from dispel4py.loading import EXAMPLES
from dispel4py.registry import PrintTable


def show_migration(workflow: str, print_table: PrintTable) -> int:
    """Print what is gone or changed, without importing the workflow.

    Args:
        workflow: a file, a module or an example.
        print_table: prints a table of titles and rows.

    Returns:
        The exit status: 2 if something is gone.

    Raises:
        WorkflowLoadError: there is no such workflow, or it cannot be read.
    """
    path = _source_of(workflow)
    try:
        findings = find(path)
    except OSError as error:
        raise WorkflowLoadError(f"cannot read {workflow}: {error.strerror}") from error
    for title, is_gone in (("gone", True), ("changed", False)):
        rows = [
            (f"{finding.path.name}:{finding.line}", finding.what, finding.instead)
            for finding in findings
            if finding.is_gone == is_gone
        ]
        if rows:
            print_table(("where", title, "instead"), _without_repeats(rows))
            print()
    if any(finding.is_gone for finding in findings):
        return GraphError.exit_status
    print(f"{workflow} imports nothing that is gone; next: dispel4py check {workflow} --try 10")
    return 0


def _without_repeats(rows: Iterable[tuple[str, str, str]]) -> Iterable[tuple[str, str, str]]:
    """Return rows without those that say the same of the same line."""
    return dict.fromkeys(rows)


def _source_of(workflow: str) -> Path:
    for name in (workflow, f"{workflow}.py"):
        if name.endswith(".py") and (path := Path(name)).is_file():
            return path
    for module in (workflow, f"{EXAMPLES}.{workflow.removesuffix('.py')}"):
        try:
            spec = find_spec(module)
        except (ImportError, ValueError):  # no such package around it, or no name of a module
            continue
        if spec is not None and spec.origin is not None:
            return Path(spec.origin)
    raise WorkflowLoadError(f"no workflow {workflow!r}: there is no such file, module or example")
