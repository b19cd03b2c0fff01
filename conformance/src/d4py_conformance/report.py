"""The capability matrix: what each mapping can do, as the tests of a session have shown it.

Four answers are distinguished: it can (a test passed), it refuses by declaration (and a test showed
that), it fails, and no test has run.  A `Report` is made from one `Record` per test, and
written as JSON, as Markdown and as one HTML page that needs nothing beside itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

from d4py_conformance.expected.workflows import WORKFLOWS
from dispel4py.mapping import Capabilities

#: What stands before and behind the matrix in a file that `put_into` keeps up to date.
BEGIN = "<!-- conformance matrix: begin; written by `dispel4py-conformance report` -->"
END = "<!-- conformance matrix: end -->"

_RULE = re.compile(r"test_([gimcdh]\d+)_")


class Outcome(StrEnum):
    """What a test, or several, have shown."""

    YES = "yes"
    REFUSED = "no by declaration"
    FAILED = "failed"
    NOT_RUN = "not run"


#: How an outcome is shown where there is little room.
SIGNS = {Outcome.YES: "✓", Outcome.REFUSED: "–", Outcome.FAILED: "✗", Outcome.NOT_RUN: "?"}

#: Row → mapping → outcome.
Matrix = dict[str, dict[str, Outcome]]


@dataclass(frozen=True)
class Record:
    """What one test has shown about one mapping.

    Attributes:
        mapping: its name.
        declared: the capabilities that it declares.
        test: name of the test, without parameters.
        node: the test as pytest names it.
        workflow: the workflow that it ran, if it is a test of workflows.
        outcome: what it has shown.
        seconds: how long it took.
        message: why it failed.
    """

    mapping: str
    declared: tuple[str, ...]
    test: str
    node: str
    workflow: str | None
    outcome: Outcome
    seconds: float
    message: str = ""

    @property
    def rule(self) -> str | None:
        """The rule that it tests."""
        match = _RULE.match(self.test)
        return match[1].upper() if match else None


@dataclass
class Report:
    """All records of a session."""

    records: list[Record] = field(default_factory=list)

    @property
    def mappings(self) -> list[str]:
        """Names of the mappings that were tested."""
        return sorted({record.mapping for record in self.records})

    @property
    def failures(self) -> list[Record]:
        """Records of tests that failed."""
        return [record for record in self.records if record.outcome is Outcome.FAILED]

    def workflows(self) -> Matrix:
        """Return which mapping runs which workflow."""
        return self._matrix(WORKFLOWS, lambda record: record.workflow)

    def rules(self) -> Matrix:
        """Return which mapping keeps which rule."""
        rules = {record.rule for record in self.records if record.rule}
        return self._matrix(
            sorted(rules, key=lambda rule: ("GIMCDH".find(rule[0]), int(rule[1:]))),
            lambda record: record.rule,
        )

    def capabilities(self) -> dict[str, dict[str, bool]]:
        """Return which mapping declares what."""
        declared = {record.mapping: record.declared for record in self.records}
        return {
            entry.name: {mapping: entry.name in declared[mapping] for mapping in self.mappings}
            for entry in fields(Capabilities)
        }

    def effort(self) -> dict[str, tuple[int, float]]:
        """Number of tests of each mapping, and the seconds that they took."""
        of = {
            mapping: [record for record in self.records if record.mapping == mapping]
            for mapping in self.mappings
        }
        return {
            mapping: (
                len({record.node for record in records}),
                sum(record.seconds for record in records),
            )
            for mapping, records in of.items()
        }

    def _matrix(self, rows: Iterable[str], row_of: Callable[[Record], str | None]) -> Matrix:
        seen: dict[tuple[str, str], list[Outcome]] = {}
        for record in self.records:
            row = row_of(record)
            if row is not None:
                seen.setdefault((row, record.mapping), []).append(record.outcome)
        return {
            row: {mapping: together(seen.get((row, mapping), [])) for mapping in self.mappings}
            for row in rows
        }

    def as_json(self) -> str:
        """Everything, for programs."""
        effort = self.effort()
        return json.dumps(
            {
                "made": datetime.now(UTC).isoformat(timespec="seconds"),
                "d4py-core": version("d4py-core"),
                "mappings": {
                    mapping: {"tests": effort[mapping][0], "seconds": round(effort[mapping][1], 2)}
                    for mapping in self.mappings
                },
                "capabilities": self.capabilities(),
                "workflows": self.workflows(),
                "rules": self.rules(),
                "failures": [asdict(record) for record in self.failures],
            },
            indent=2,
        )

    def as_markdown(self, *, matrix_only: bool = False) -> str:
        """Tables for people; `matrix_only` leaves out all but workflows and mappings."""
        return self._render("report.md.jinja", matrix_only=matrix_only)

    def as_html(self) -> str:
        """Return the same as one page."""
        return self._render("report.html.jinja")

    def write(self, folder: Path) -> None:
        """Write the three files."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("conformance.json", self.as_json()),
            ("conformance.md", self.as_markdown()),
            ("conformance.html", self.as_html()),
        ):
            (folder / name).write_text(text.rstrip() + "\n", encoding="utf-8")

    def _render(self, template: str, **more: Any) -> str:
        from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

        environment = Environment(
            loader=PackageLoader("d4py_conformance"),
            autoescape=select_autoescape(["html.jinja"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template(template).render(
            report=self, outcomes=list(Outcome), signs=SIGNS, **more
        )


def together(outcomes: list[Outcome]) -> Outcome:
    """Return what several tests show together: one failure is one, a success needs one."""
    for outcome in (Outcome.FAILED, Outcome.YES, Outcome.REFUSED):
        if outcome in outcomes:
            return outcome
    return Outcome.NOT_RUN


def put_into(text: str, table: str, marks: tuple[str, str] = (BEGIN, END)) -> str:
    """Return a text with a table between the two marks in it.

    Raises:
        ValueError: it has no such marks.
    """
    before, begin, rest = text.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(
            f"there is no place for the table; add these two lines:\n{marks[0]}\n{marks[1]}"
        )
    return f"{before}{begin}\n{table.strip()}\n{end}{after}"
