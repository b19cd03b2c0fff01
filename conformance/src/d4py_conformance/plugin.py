"""What d4py-conformance adds to pytest: hard timeouts, and a report of what mappings can do.

It concerns itself with subclasses of `Suite` alone.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

# Before anything imports them: a failed assert in these modules shows its values.
pytest.register_assert_rewrite("d4py_conformance.expected.compare", "d4py_conformance.rules")

from d4py_conformance.expected.workflows import WORKFLOWS  # noqa: E402
from d4py_conformance.report import Outcome, Record, Report, put_into  # noqa: E402
from d4py_conformance.subprocesses.deadline import Deadline  # noqa: E402
from d4py_conformance.suite import NOT_DECLARED, Suite, part_of, problem_of  # noqa: E402
from dispel4py.errors import UnknownMappingError  # noqa: E402
from dispel4py.registry import Mapping, load_mapping  # noqa: E402

#: Name of what a test's report carries from the process that ran the test to the one that reports.
_PROPERTY = "d4py_conformance"
#: Characters of a failure that are kept.
_MOST_OF_MESSAGE = 20_000
_STDERR = pytest.StashKey[int]()
_DEADLINE = pytest.StashKey[Deadline]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--conformance-report`` and ``--conformance-matrix``."""
    group = parser.getgroup("d4py-conformance")
    group.addoption(
        "--conformance-report",
        metavar="FOLDER",
        type=Path,
        help="write what mappings can do as conformance.json, .md and .html",
    )
    group.addoption(
        "--conformance-matrix",
        metavar="FILE",
        type=Path,
        help="put which mapping runs which workflow into a Markdown file, between its marks",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Report, if asked to; of several processes, only the one that others report to."""
    # A copy, because that descriptor is someone else's while the output of a test is captured.
    config.stash[_STDERR] = os.dup(2)
    folder: Path | None = config.getoption("--conformance-report")
    into: Path | None = config.getoption("--conformance-matrix")
    if (folder or into) and not hasattr(config, "workerinput"):
        if into:
            _put_into(into, "")  # before time is spent: is there a place?
        config.pluginmanager.register(
            _Reporter(folder and folder.absolute(), into and into.absolute())
        )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a test of the suite its timeout, unless it has one of its own."""
    suite = _suite_of(item)
    if suite is not None and item.get_closest_marker("timeout") is None:
        item.add_marker(pytest.mark.timeout(suite.timeout))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what is simple first and random graphs last, among the tests of each class."""
    places: dict[type[Suite], list[int]] = {}
    for i, item in enumerate(items):
        suite = _suite_of(item)
        if suite is not None:
            places.setdefault(suite, []).append(i)
    for suite, numbers in places.items():
        own = [items[i] for i in numbers]
        own.sort(key=lambda item, suite=suite: part_of(suite, _name_of(item)))  # type: ignore[misc]
        for i, item in zip(numbers, own, strict=True):
            items[i] = item


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close what `pytest_configure` opened."""
    os.close(config.stash[_STDERR])


@pytest.hookimpl(optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """In place of pytest-timeout's own timer, which does not see other processes."""
    if _suite_of(item) is None:
        return None
    # The name is the one that pytest-timeout looks for when the test is over.
    deadline = Deadline(settings.timeout, item.config.stash[_STDERR])
    item.stash[_DEADLINE] = deadline
    item.cancel_timeout = deadline.cancel  # type: ignore[attr-defined]
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note which mapping a test is about."""
    deadline = item.stash.get(_DEADLINE, None)
    has_failed = call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception)
    if deadline is not None and has_failed:
        # On a busy machine the report takes long, and interrupting that would end the session.
        deadline.cancel()
    report = yield
    # A test that was set up, or taken down again, has shown nothing by that.
    about = _about(item) if report.when == "call" or not report.passed else None
    if about is not None:
        report.user_properties.append((_PROPERTY, about))
    return report


class _Reporter:
    """Gathers the reports of all tests and writes them down at the end."""

    def __init__(self, folder: Path | None, into: Path | None) -> None:
        self._folder = folder
        self._into = into
        self._report = Report()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        about = dict(report.user_properties).get(_PROPERTY)
        if isinstance(about, dict):
            self._report.records.append(_record(report, about))

    def pytest_sessionfinish(self) -> None:
        if self._folder:
            self._report.write(self._folder)
        if self._into and self._report.records:
            _put_into(self._into, self._report.as_markdown(matrix_only=True))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._folder:
            page = self._folder / "conformance.html"
            terminalreporter.write_line(f"what mappings can do: {page}")


def _put_into(file: Path, matrix: str) -> None:
    try:
        text = put_into(file.read_text(encoding="utf-8"), matrix)
    except (OSError, ValueError) as error:
        raise pytest.UsageError(f"--conformance-matrix: {file}: {error}") from error
    if matrix:
        file.write_text(text, encoding="utf-8")


def _about(item: pytest.Item) -> dict[str, Any] | None:
    mapping = getattr(item, "funcargs", {}).get("mapping")
    if mapping is None or _suite_of(item) is None:
        return None
    name, declared = _identity(mapping) if isinstance(mapping, str) else _said_by(mapping)
    callspec = getattr(item, "callspec", None)
    return {
        "mapping": name,
        "declared": declared,
        "test": _name_of(item),
        "parameter": callspec.params.get("name") if callspec else None,
    }


@cache
def _identity(name: str) -> tuple[str, list[str]]:
    try:
        return _said_by(load_mapping(name))
    except UnknownMappingError:  # which is why its tests fail
        return name, []


def _name_of(item: pytest.Item) -> str:
    """Return the name of a test's function."""
    return getattr(item, "originalname", None) or item.name


def _said_by(mapping: Mapping) -> tuple[str, list[str]]:
    if problem_of(mapping) is not None:  # which is why its tests fail
        return str(getattr(mapping, "name", None) or mapping), []
    return mapping.name, mapping.capabilities.declared()


def _record(report: pytest.TestReport, about: dict[str, Any]) -> Record:
    is_workflow = about["test"].startswith("test_workflow")
    workflow = about["parameter"] if is_workflow and about["parameter"] in WORKFLOWS else None
    outcome = Outcome.YES
    if report.failed or hasattr(report, "wasxfail"):
        outcome = Outcome.FAILED
    elif report.skipped:
        declared = NOT_DECLARED in report.longreprtext
        outcome = Outcome.REFUSED if declared else Outcome.NOT_RUN
    elif workflow and not WORKFLOWS[workflow].needs <= set(about["declared"]):
        outcome = Outcome.REFUSED
    return Record(
        mapping=about["mapping"],
        declared=tuple(about["declared"]),
        test=about["test"],
        node=report.nodeid,
        workflow=workflow,
        outcome=outcome,
        seconds=report.duration,
        message=report.longreprtext[-_MOST_OF_MESSAGE:] if report.failed else "",
    )


def _suite_of(item: pytest.Item) -> type[Suite] | None:
    cls = getattr(item, "cls", None)
    return cls if isinstance(cls, type) and issubclass(cls, Suite) else None
