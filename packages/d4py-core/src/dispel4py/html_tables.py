"""Tables in HTML, by which notebooks show what a run has done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def html_table(titles: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    r"""Return a table; numbers, and what begins with one, stand on the right.

    Args:
        titles: of the columns.
        rows: the texts of each row.
        caption: a line above the table.

    >>> print(html_table(["PE"], [["A<0>"], ["3"]]).replace("<tr>", "\n<tr>"))
    <table>
    <tr><th>PE</th></tr>
    <tr><td style="text-align:left">A&lt;0&gt;</td></tr>
    <tr><td style="text-align:right">3</td></tr></table>
    """
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    above = f'<caption style="white-space:nowrap">{escape(caption)}</caption>' if caption else ""
    return f"<table>{above}<tr>{head}</tr>{body}</table>"


def _cell(text: str) -> str:
    side = "right" if text[:1].isdigit() else "left"
    return f'<td style="text-align:{side}">{escape(text)}</td>'
