"""A table in a Markdown page: how many tests have passed in each of several runs.

Made from what ``pytest --junitxml=FILE`` writes, for tests that are run on several servers, Pythons
or versions of something else.
"""

from __future__ import annotations

import platform
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

#: What stands before and behind the table in a file that is kept up to date.
MARKS = "<!-- table of tests: begin; written by `{target}` -->", "<!-- table of tests: end -->"

#: Files of tests, or mappings -> outcome -> number of tests.
Counts = dict[str, Counter[str]]
#: The files of each run, in the format of JUnit; the tests of all files of a run are added up.
Runs = Mapping[str, Iterable[Path]]


def make_table_of_files(runs: Runs, libraries: Sequence[str]) -> str:
    """Return the table in Markdown: a row for each file of tests, and a column for each run.

    Args:
        runs: by their names.
        libraries: distributions whose versions are named below.
    """
    counts = {run: _read_counts(paths, _file_of) for run, paths in runs.items()}
    files = _groups_of(counts)
    rows = [
        [file.replace("_", " "), *(_cell(of_run, file) for of_run in counts.values())]
        for file in files
    ]
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{name} {version(name)}" for name in libraries]
    return _lay_out(["tests", *counts], rows, f"that passed, with {', '.join(versions)}")


def make_table_of_mappings(runs: Runs) -> str:
    """Return the table in Markdown: a row for each run, and a column for each mapping.

    Tests of no mapping have a column for their package.

    Args:
        runs: by their names.
    """
    counts = {run: _read_counts(paths, _mapping_of) for run, paths in runs.items()}
    mappings = _groups_of(counts)
    rows = [[run, *(_cell(of_run, name) for name in mappings)] for run, of_run in counts.items()]
    return _lay_out(["tests", *(f"`{name}`" for name in mappings)], rows, "that passed")


def _read_counts(paths: Iterable[Path], group_of: Callable[[ElementTree.Element], str]) -> Counts:
    counts: Counts = {}
    for path in paths:
        for case in ElementTree.parse(path).iter("testcase"):
            kinds = {element.tag for element in case}
            outcome = "failed" if kinds & {"failure", "error"} else "skipped" if kinds else "passed"
            counts.setdefault(group_of(case), Counter())[outcome] += 1
    return counts


def _groups_of(counts: Mapping[str, Counts]) -> list[str]:
    return sorted({group for of_run in counts.values() for group in of_run})


def _file_of(case: ElementTree.Element) -> str:
    found = re.search(r"(?:^|\.)test_(\w+)", case.get("classname", ""))
    return found[1] if found else "others"


def _mapping_of(case: ElementTree.Element) -> str:
    name = case.get("name", "")
    found = None
    if case.get("classname", "").endswith(".TestInstalledMappings"):
        found = re.match(r"\w+\[(\w+)", name)
    if found is None:  # the name of a file that was skipped as a whole is that of its module
        found = re.search(r"(?:^| )packages\.([\w-]+)", f"{case.get('classname', '')} {name}")
    return found[1] if found else "others"


def _cell(counts: Counts, group: str) -> str:
    if group not in counts:
        return "not run"
    of_group = counts[group]
    notes = [f"{of_group[kind]} {kind}" for kind in ("failed", "skipped") if of_group[kind]]
    return str(of_group["passed"]) + (f" ({', '.join(notes)})" if notes else "")


def _lay_out(head: Sequence[str], rows: Iterable[Sequence[str]], which: str) -> str:
    lines = [" | ".join(cells) for cells in [head, ["---"] * len(head), *rows]]
    table = "\n".join(f"| {line} |" for line in lines)
    return f"{table}\n\nNumber of tests {which}."
