"""Where and from what a run was made: versions, host, command, and the files of the workflow."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from d4py_cli.report.summary import RunSummary
from dispel4py.errors import GraphError
from dispel4py.events import Event, RunStarted, SourceFile
from dispel4py.observing.description import source_of
from dispel4py.workflow_graph import WorkflowGraph

_GIT_SECONDS = 10


class WorkflowSources:
    """Adds the files in which the PEs of a run are defined to its start, for several observers.

    Those of a graph are read at once, before the run begins: Git may take seconds, and an observer
    has no such time.  Other files of installed packages are left out: their versions say what they
    are.

    Args:
        first: the file of the workflow itself; None if there is none.
        graph: the graph; None for a run that was started elsewhere, whose start names the files.
    """

    def __init__(self, first: str | None = None, graph: WorkflowGraph | None = None) -> None:
        self._first = first
        self._lock = threading.Lock()
        self._found: tuple[SourceFile, ...] | None = None
        if graph is not None:
            files: list[str | None] = []
            with suppress(GraphError):  # the run will say what is wrong
                files = [source_of(type(pe))[0] for pe in graph.flatten().get_contained_objects()]
            self._found = _read_sources(first, files)

    def add_to(self, event: Event) -> Event:
        """Return an event, and the start of the run with the files."""
        if not isinstance(event, RunStarted):
            return event
        with self._lock:  # each observer has a thread
            if self._found is None:
                self._found = _read_sources(self._first, [pe.file for pe in event.pes])
            return replace(event, sources=self._found)


def command_line(command: Sequence[str]) -> str:
    """Return a command line without interpreter and path, for readers.

    >>> command_line(["/usr/bin/python", "/usr/bin/dispel4py", "multi", "my flow.py"])
    "dispel4py multi 'my flow.py'"
    """
    at = next((i for i, word in enumerate(command) if os.path.basename(word) == "dispel4py"), 0)
    words = command[at:]
    return shlex.join([os.path.basename(words[0]), *words[1:]]) if words else ""


def _read_sources(first: str | None, files: Iterable[str | None]) -> tuple[SourceFile, ...]:
    paths = dict.fromkeys(path for path in [first, *files] if path)
    own = (path for path in paths if path == first or "site-packages" not in path)
    return tuple(source for path in own if (source := _read_source(path)))


def _read_source(path: str) -> SourceFile | None:
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # a cell of a notebook, or an archive
        return None
    revision = _git(path, "rev-parse", "HEAD")
    if not revision or not _git(path, "ls-files", "--", os.path.abspath(path)):
        return SourceFile(path, digest)
    changed = bool(_git(path, "status", "--porcelain", "--", os.path.abspath(path)))
    return SourceFile(path, digest, revision, changed)


def _git(path: str, *arguments: str) -> str:
    """Return what Git prints about the folder of a file; "" where there is none, or no Git."""
    try:
        done = subprocess.run(
            ["git", "-C", os.path.dirname(os.path.abspath(path)), *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def environment_rows(summary: RunSummary) -> list[tuple[str, str]]:
    """Return what a report says about the environment of a run, as names and texts."""
    started = summary.started
    if started is None:
        return []
    rows = [
        ("command", shlex.join(started.command)),
        ("started", started.time_utc),
        ("mapping", f"{started.mapping}, {started.processes} workers"),
        ("seed", "" if started.seed is None else str(started.seed)),
        ("host", f"{started.host}, process {started.pid}" if started.pid else started.host),
        ("worker hosts", ", ".join(_worker_hosts(summary))),
        *started.versions.items(),
    ]
    for source in started.sources:
        rows.append((f"workflow file {source.path}", _describe_source(source)))
    return [(name, text) for name, text in rows if text]


def _worker_hosts(summary: RunSummary) -> Iterable[str]:
    counts: dict[str, int] = {}
    for worker in summary.workers.values():
        if worker.host:
            counts[worker.host] = counts.get(worker.host, 0) + 1
    return (f"{host} ({count})" for host, count in counts.items())


def _describe_source(source: SourceFile) -> str:
    if not source.revision:
        return f"not in Git; SHA-256 {source.sha256}"
    changed = ", with changes that are not committed" if source.changed else ""
    return f"Git revision {source.revision}{changed}; SHA-256 {source.sha256}"
