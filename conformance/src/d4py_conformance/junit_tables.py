"""A table in a Markdown page: how many tests of each file have passed in each of several runs.

Made from what ``pytest --junitxml=FILE`` writes, for tests that are run on several servers or
several versions of something else.
"""

from __future__ import annotations

import platform
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

#: What stands before and behind the table in a file that is kept up to date.
MARKS = "<!-- table of tests: begin; written by `{target}` -->", "<!-- table of tests: end -->"

#: Files of tests -> outcome -> number of tests.
Counts = dict[str, Counter[str]]


def read_counts(paths: Iterable[Path]) -> Counts:
    """Return how many tests of each file have passed, failed and were skipped.

    Args:
        paths: of files in the format of JUnit; the tests of all of them are added up.
    """
    counts: Counts = {}
    for path in paths:
        for case in ElementTree.parse(path).iter("testcase"):
            kinds = {element.tag for element in case}
            outcome = "failed" if kinds & {"failure", "error"} else "skipped" if kinds else "passed"
            counts.setdefault(_file_of(case), Counter())[outcome] += 1
    return counts


def make_table(runs: Mapping[str, Counts], libraries: Sequence[str]) -> str:
    """Return the table in Markdown: a row for each file of tests, and a column for each run.

    Args:
        runs: by their names.
        libraries: distributions whose versions are named below.
    """
    files = dict.fromkeys(file for counts in runs.values() for file in counts)
    head = ["tests", *runs]
    rows = [
        [file.replace("_", " "), *(_cell(counts.get(file, Counter())) for counts in runs.values())]
        for file in files
    ]
    lines = [" | ".join(cells) for cells in [head, ["---"] * len(head), *rows]]
    table = "\n".join(f"| {line} |" for line in lines)
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{name} {version(name)}" for name in libraries]
    return f"{table}\n\nNumber of tests that passed, with {', '.join(versions)}."


def _file_of(case: ElementTree.Element) -> str:
    found = re.search(r"(?:^|\.)test_(\w+)", case.get("classname", ""))
    return found[1] if found else "others"


def _cell(counts: Counter[str]) -> str:
    if not counts:
        return "not run"
    notes = [f"{counts[kind]} {kind}" for kind in ("failed", "skipped") if counts[kind]]
    return str(counts["passed"]) + (f" ({', '.join(notes)})" if notes else "")
