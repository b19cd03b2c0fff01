"""The pictures of a report, drawn by Bokeh in the browser.

A picture shows the columns of `series`.  The live page replaces those of a picture by its name.
"""

from __future__ import annotations

from typing import Any

from bokeh.models import ColumnDataSource, FactorRange, HoverTool, Range1d
from bokeh.models.annotations.legends import Legend, LegendItem
from bokeh.plotting import figure

from d4py_cli.report.series import colours, columns, worker_names
from d4py_cli.report.summary import RunSummary

_TOOLS = "xpan,xwheel_zoom,box_zoom,reset,save"
_ROW_PIXELS, _AXIS_PIXELS, _LEAST_PIXELS, _MOST_PIXELS = 22, 60, 130, 640


def make_figures(summary: RunSummary) -> dict[str, Any]:
    """Return the pictures of a run by their names, which are those of their columns."""
    sources = {name: ColumnDataSource(data, name=name) for name, data in columns(summary).items()}
    seconds = Range1d(start=0, end=max(summary.seconds, 0.001), name="seconds")
    pes = list(summary.totals())
    return {
        "workers": _cells(sources["workers"], worker_names(summary), seconds, "worker"),
        "pes": _cells(sources["pes"], pes, seconds, "PE"),
        "rates": _lines(sources["rates"], colours(summary), seconds, "calls per second"),
        "queues": _lines(
            sources["queues"], {"all PEs": "#555555", **colours(summary)}, seconds, "waiting"
        ),
        "scaling": _lines(
            sources["scaling"], {"active": "#0072b2", "backlog": "#e69f00"}, seconds, ""
        ),
    }


def _figure(seconds: Range1d, height: int, **settings: Any) -> Any:
    made = figure(
        height=height,
        sizing_mode="stretch_width",
        x_range=seconds,
        tools=_TOOLS,
        x_axis_label="seconds since the start",
        output_backend="canvas",
        **settings,
    )
    made.toolbar.logo = None
    made.toolbar.autohide = True
    made.outline_line_color = None
    made.grid.grid_line_alpha = 0.4
    return made


def _cells(source: ColumnDataSource, rows: list[str], seconds: Range1d, what: str) -> Any:
    """Return a picture of rows of rectangles that are as opaque as ``share`` is large."""
    height = min(max(_AXIS_PIXELS + _ROW_PIXELS * len(rows), _LEAST_PIXELS), _MOST_PIXELS)
    factors = FactorRange(factors=rows[::-1], name=f"{source.name} rows")
    made = _figure(seconds, height, y_range=factors)
    made.hbar(
        y="row",
        left="left",
        right="right",
        height=0.8,
        fill_color="colour",
        fill_alpha="share",
        line_color=None,
        source=source,
    )
    tips = [(what, "@row"), ("time", "@left s to @right s"), ("in calls", "@share{0%}, @text")]
    made.add_tools(HoverTool(tooltips=tips))
    made.ygrid.grid_line_color = None
    return made


def _lines(source: ColumnDataSource, colour: dict[str, str], seconds: Range1d, label: str) -> Any:
    """Return a picture with a line for each column; a click on its name hides it."""
    made = _figure(seconds, 260, y_axis_label=label)
    made.y_range.start = 0
    items = []
    for name, colour_of in colour.items():
        line = made.step(
            x="time", y=name, mode="after", color=colour_of, line_width=2, source=source
        )
        items.append(LegendItem(label=name, renderers=[line]))
    legend = Legend(items=items, click_policy="hide", label_text_font_size="12px")
    legend.border_line_color = None
    made.add_layout(legend, "right")
    return made
