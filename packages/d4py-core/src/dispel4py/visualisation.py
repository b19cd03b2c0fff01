"""`display`, which shows a graph in a notebook or prints it as DOT text."""

from __future__ import annotations

import base64
import importlib
import sys

from dispel4py.drawing import DotMissingError, draw, drawDot
from dispel4py.workflow_graph import WorkflowGraph

__all__ = ["display"]


def display(graph: WorkflowGraph) -> None:
    """Show a graph: a picture in a notebook, DOT text in a terminal.

    Without the program ``dot``, a notebook shows the text and what to install.
    """
    text = draw(graph)
    # IPython has been imported already in its sessions; to import it elsewhere takes a second.
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        print(text, end="")
        return
    shown = {"text/plain": text}
    try:
        shown["image/png"] = base64.b64encode(drawDot(graph)).decode()
    except DotMissingError as error:
        shown["text/plain"] += f"# {error}\n"
    # The front end shows the richest of these that it supports.
    importlib.import_module("IPython.display").display(shown, raw=True)
