"""The command ``dispel4py-conformance``.

``dispel4py-conformance report`` tests all installed mappings and shows what each can do.  What
follows ``--`` goes to pytest, such as tests of a mapping of your own:
``dispel4py-conformance report --output here -- -n 2 tests/test_my_mapping.py``.
``bench-table`` shows what benchmarks have measured; ``pytest-benchmark compare`` compares two
sessions.  ``bench-instructions`` counts instructions, which do not depend on the load of a machine.
``test-table`` puts into a page which tests have passed in several runs of pytest.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from d4py_conformance import junit_tables
from d4py_conformance.bench import instructions
from d4py_conformance.bench import tables as bench_tables
from d4py_conformance.report import put_into
from dispel4py.errors import OptionError

#: So that no settings of the folder that we are in matter to the tests of installed mappings.
_ANYWHERE = ("-c", os.devnull, "--rootdir", os.curdir, "--import-mode=importlib")
_INSTALLED = Path(__file__).with_name("installed.py")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; gives the exit status, which is that of pytest where it runs tests."""
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.do(arguments)
    except OptionError as error:
        print(f"dispel4py-conformance: error: {error}", file=sys.stderr)
        return error.exit_status
    return status


def _report(arguments: argparse.Namespace) -> int:
    given: list[str] = arguments.pytest[arguments.pytest[:1] == ["--"] :]
    if not any(Path(argument.partition("::")[0]).exists() for argument in given):
        given = [*_ANYWHERE, *given, str(_INSTALLED)]
    if arguments.output:
        given.append(f"--conformance-report={arguments.output}")
    if arguments.into:
        given.append(f"--conformance-matrix={arguments.into}")
    # A process of its own: pytest has to be there before what it looks into is imported.
    return subprocess.call([sys.executable, "-m", "pytest", *given])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dispel4py-conformance")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    report = commands.add_parser("report", help="test mappings and show what each can do")
    report.add_argument(
        "--output",
        metavar="FOLDER",
        help="write conformance.json, conformance.md and conformance.html there",
    )
    report.add_argument(
        "--into",
        metavar="FILE",
        help="put the matrix into a Markdown file, between the marks that are there for it",
    )
    report.add_argument("pytest", nargs=argparse.REMAINDER, help="after --: arguments of pytest")
    report.set_defaults(do=_report)
    table = commands.add_parser("bench-table", help="show what benchmarks have measured")
    table.add_argument("file", metavar="FILE", help="what pytest's --benchmark-json has written")
    table.add_argument("--picture", metavar="FILE", help="draw the ratios, too (.png, .svg, …)")
    table.add_argument("--markdown", metavar="FILE", help="write it as a page in Markdown, too")
    table.set_defaults(do=_bench_table)
    counts = commands.add_parser(
        "bench-instructions", help="count the instructions per item by valgrind, as a table"
    )
    counts.add_argument("paths", nargs="*", metavar="PATH", help="names of paths (default: all)")
    counts.set_defaults(do=_bench_instructions)
    _add_test_table(commands.add_parser("test-table", help="show which tests passed in which run"))
    return parser


def _add_test_table(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--into",
        metavar="FILE",
        required=True,
        help="put it into a Markdown file, between the marks that are there for it",
    )
    parser.add_argument("--target", required=True, help="the command that makes the table")
    parser.add_argument(
        "--by",
        choices=["file", "mapping"],
        default="file",
        help="a row for each file of tests (the default), or a column for each mapping",
    )
    parser.add_argument(
        "--library", action="append", default=[], help="a distribution whose version is named"
    )
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="NAME=FILE",
        help="a run, and what pytest's --junitxml has written; several files of one NAME add up",
    )
    parser.set_defaults(do=_test_table)


def _test_table(arguments: argparse.Namespace) -> int:
    files: dict[str, list[Path]] = {}
    for run in arguments.runs:
        name, separator, path = run.rpartition("=")
        if not separator or not Path(path).is_file():
            raise OptionError(f"{run!r} is not a name and a file: NAME=FILE")
        files.setdefault(name, []).append(Path(path))
    if arguments.by == "mapping":
        table = junit_tables.make_table_of_mappings(files)
    else:
        table = junit_tables.make_table_of_files(files, arguments.library)
    begin, end = junit_tables.MARKS
    page = Path(arguments.into)
    marks = begin.format(target=arguments.target), end
    try:
        text = put_into(page.read_text(encoding="utf-8"), table, marks)
    except (OSError, ValueError) as error:
        raise OptionError(f"--into {page}: {error}") from error
    page.write_text(text, encoding="utf-8")
    return 0


def _bench_table(arguments: argparse.Namespace) -> int:
    figures = bench_tables.read_figures(arguments.file)
    bench_tables.print_figures(figures)
    if arguments.picture:
        bench_tables.draw_figures(figures, arguments.picture)
    if arguments.markdown:
        bench_tables.write_markdown(arguments.file, arguments.markdown)
    return 0


def _bench_instructions(arguments: argparse.Namespace) -> int:
    instructions.print_table(arguments.paths)
    return 0


if __name__ == "__main__":
    sys.exit(main())
