"""The page of a report: one file with all that it needs, so that it is read without a network."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from d4py_cli.report.advice import advise
from d4py_cli.report.environment import command_line, environment_rows
from d4py_cli.report.graph_picture import draw_graph
from d4py_cli.report.series import colours
from d4py_cli.report.summary import RunSummary
from dispel4py.errors import OptionError, RunError

if TYPE_CHECKING:
    from jinja2 import Environment

#: Sections of the page, in their order; each is a template, and is replaced as a whole when live.
SECTIONS = ("head", "advice", "graph", "table", "failures", "slow", "environment")
#: Pictures of the page, in their order: name → title, and what it shows.
PICTURES = {
    "workers": (
        "Workers",
        "A row for each worker: the colour is that of the PE that took most of the time, and the"
        " paler it is, the more the worker waited.",
    ),
    "pes": ("PEs", "A row for each PE: the paler it is, the more its instances waited."),
    "rates": ("Calls per second", "A click on a name hides its line."),
    "queues": ("Queues", "What waited for each PE: items, or tasks of several items."),
    "scaling": ("Autoscaling", "Active workers, and the tasks that waited for one."),
}
_INSTALL = "pip install 'd4py-cli[report]'"


def missing_library() -> str | None:
    """Return the name of a library that a report needs and that is not installed; None if none."""
    from importlib.util import find_spec

    return next((name for name in ("bokeh", "jinja2") if find_spec(name) is None), None)


def check_libraries(option: str) -> None:
    """Check that what draws a report is installed.

    Args:
        option: what needs it, for the message.

    Raises:
        OptionError: it is not.
    """
    if (name := missing_library()) is not None:
        raise OptionError(f"{option} needs {name}, which is not installed: run {_INSTALL}")


def check_ending(target: str, option: str) -> None:
    """Check that a page gets a name by which programs know it.

    Args:
        target: name of the file.
        option: the option, or the method, that named it, for the message.

    Raises:
        OptionError: the name has another ending.
    """
    if not target.lower().endswith((".html", ".htm")):
        raise OptionError(
            f"cannot write {target} ({option}): the page is HTML; choose a name that ends in .html"
        )


def write_page(target: str | os.PathLike[str], summary: RunSummary) -> None:
    """Write the report of a run; the file is replaced in one step.

    Args:
        target: name of the file.
        summary: the run.

    Raises:
        RunError: the file cannot be written.
    """
    text = make_page(summary)
    path = os.path.realpath(target)  # a link stays one
    beside = f"{path}.{os.getpid()}.new"  # another run may write the page, too
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(beside, path)
    except OSError as error:
        raise RunError(f"cannot write the report to {target}: {error.strerror}") from error
    finally:
        with suppress(OSError):  # it is there where the page is not, also after Ctrl-C
            os.unlink(beside)


def make_page(summary: RunSummary, live_url: str = "") -> str:
    """Return the page as HTML.

    Args:
        summary: the run.
        live_url: address of a stream of updates; "" for a page that does not change.
    """
    from bokeh.embed import components
    from bokeh.resources import Resources

    from d4py_cli.report.figures import make_figures

    script, pictures = components(make_figures(summary))
    library = Resources(mode="inline", components=["bokeh"], minified=True).js_raw
    text = (
        _templates()
        .get_template("page.html")
        .render(
            title=_title(summary),
            sections=render_sections(summary),
            pictures=pictures,
            shown=shown_pictures(summary),
            about=PICTURES,
            script=script,
            library=library,
            live_url=live_url,
        )
    )
    # A name of a file that Python could not decode may be in messages of PEs.
    return text.encode(errors="backslashreplace").decode()


def render_sections(summary: RunSummary) -> dict[str, str]:
    """Return the HTML of each section, by its name."""
    pes = list(summary.totals().values())
    values: dict[str, Any] = {
        "summary": summary,
        "title": _title(summary),
        "outcome": "running" if summary.ended is None else summary.ended.outcome,
        "advice": advise(summary),
        "graph": draw_graph(summary),
        "colours": colours(summary),
        "pes": pes,
        "all_seconds": sum(pe.seconds for pe in pes) or 1.0,
        "failures": sorted(summary.failures.values(), key=lambda failure: -failure.count),
        "slowest": summary.slowest()[: summary.limits.slow_calls],
        "environment": environment_rows(summary),
    }
    return {name: _templates().get_template(f"{name}.html").render(values) for name in SECTIONS}


def shown_pictures(summary: RunSummary) -> list[str]:
    """Return the names of the pictures that have something to show."""
    has = {
        "queues": bool(summary.queues.rows),
        "scaling": bool(summary.scaling),
        "workers": bool(summary.busy.rows),
        "pes": bool(summary.busy.rows),
        "rates": bool(summary.calls.rows),
    }
    return [name for name in PICTURES if has[name]]


def _title(summary: RunSummary) -> str:
    if summary.started is None:
        return "A run of dispel4py"
    return command_line(summary.started.command) or f"A run on {summary.started.mapping}"


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("d4py_cli.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.filters["duration"] = duration
    return made


def duration(seconds: float) -> str:
    """Return a duration as text.

    >>> [duration(s) for s in (0, 0.000012, 0.25, 12.3, 125, 7384)]
    ['0 s', '12 µs', '250 ms', '12.3 s', '2 min 5 s', '2 h 3 min']
    """
    if seconds >= 3600:
        return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
    if seconds >= 60:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"
