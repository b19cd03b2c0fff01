"""`display`: show a graph in a notebook, or as DOT text where there is none."""

from __future__ import annotations

import base64
import importlib
import sys

from dispel4py.drawing import DotMissingError, draw, drawDot
from dispel4py.workflow_graph import WorkflowGraph

__all__ = ["display"]


def display(graph: WorkflowGraph) -> None:
    """Show a graph: a picture in a notebook, DOT text in a terminal.

    Without the program ``dot`` a notebook gets the text, and is told what to install.
    """
    text = draw(graph)
    # Where a session is IPython's, IPython has been imported already; importing it to ask would
    # cost everybody else a second.
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        print(text, end="")
        return
    shown = {"text/plain": text}
    try:
        shown["image/png"] = base64.b64encode(drawDot(graph)).decode()
    except DotMissingError as error:
        shown["text/plain"] += f"# {error}\n"
    # The front end takes the richest of these that it can show.
    importlib.import_module("IPython.display").display(shown, raw=True)
