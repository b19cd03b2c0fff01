"""PEs that cannot be pickled, rebuilt by the process that runs them.

The command runs a workflow that other processes can import as well.  There, a PE that holds a lock,
a socket or a generator is taken from the graph of that import.  Where a program has made the graph,
and may have changed it, such a PE is refused.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from dispel4py.core import GenericPE
from dispel4py.files.open_files import REFUSE_FILES, is_standard
from dispel4py.loading import Origin
from dispel4py.workflow_graph import WorkflowGraph


def can_be_rebuilt(pe: GenericPE) -> bool:
    """Return whether a PE can be made in several processes: it has no open file."""
    files = [value for value in vars(pe).values() if type(value) in REFUSE_FILES]
    return all(file.closed or is_standard(file) for file in files)


def rebuild_pes(origin: Origin) -> list[Any]:
    """Return the PEs of a graph, by number, from importing its module here."""
    graph: WorkflowGraph = getattr(import_module(origin.module), origin.graph)
    return graph.flatten().get_contained_objects()


class LocalPE:
    """Returns a PE of this process, once: it has one instance here.

    Args:
        pe: the PE.
    """

    def __init__(self, pe: GenericPE) -> None:
        self._pe: GenericPE | None = pe

    def __call__(self) -> GenericPE:
        pe, self._pe = self._pe, None
        assert pe is not None
        return pe
