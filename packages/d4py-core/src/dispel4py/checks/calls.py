"""Checks of the graph and the mapping that `run` is called with.

`dispel4py.result.RunOptions` checks the options.
"""

from __future__ import annotations

from types import ModuleType

from dispel4py.core import GenericPE
from dispel4py.errors import OptionError, name_list, shorten
from dispel4py.object_types import is_of_type
from dispel4py.workflow_graph import WorkflowGraph

_MEMBERS = ("name", "capabilities", "add_arguments", "run")


def check_graph(graph: object) -> None:
    """Check that an object is a `WorkflowGraph`.

    Raises:
        TypeError: the object is something else; the message says what to write.
    """
    if isinstance(graph, WorkflowGraph):
        return
    message = f"a workflow is a WorkflowGraph, not {type(graph).__name__}: {shorten(graph)}"
    if isinstance(graph, GenericPE):
        message += "; put it into one: graph = WorkflowGraph(); graph.add(…)"
    elif isinstance(graph, type) and issubclass(graph, WorkflowGraph | GenericPE):
        message += " (did you mean to call the class?)"
    elif isinstance(graph, ModuleType):
        names = [name for name, value in vars(graph).items() if is_of_type(value, WorkflowGraph)]
        names = [f"{graph.__name__}.{name}" for name in names]
        message += f"; the graphs in it: {name_list(names)}"
    elif isinstance(graph, str):
        message += f"; load it first: dispel4py.utils.load_graph({graph!r})"
    raise TypeError(message)


def check_mapping(mapping: object) -> None:
    """Check that an object is a mapping.

    Raises:
        OptionError: the object is something else; the message says what to write.
    """
    advice = "use a name, such as 'simple' or 'multi', or an instance of a mapping"
    if isinstance(mapping, type):
        raise OptionError(
            f"the mapping is the class {mapping.__name__}; {advice}: {mapping.__name__}()"
        )
    missing = [name for name in _MEMBERS if getattr(mapping, name, None) is None]
    if missing:
        raise OptionError(
            f"the mapping is {shorten(mapping)}, which has no {name_list(missing)}; {advice}"
        )
