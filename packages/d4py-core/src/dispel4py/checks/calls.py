"""What is said of a wrong call of `run`: of a graph that is none, or a mapping that is none.

`dispel4py.result.RunOptions` looks at the options.
"""

from __future__ import annotations

from types import ModuleType

from dispel4py.core import GenericPE
from dispel4py.errors import OptionError, name_list, shorten
from dispel4py.workflow_graph import WorkflowGraph

_PARTS = ("name", "capabilities", "add_arguments", "run")


def check_graph(graph: object) -> None:
    """Check that a graph is one.

    Raises:
        TypeError: it is something else; the message says what to write.
    """
    if isinstance(graph, WorkflowGraph):
        return
    message = f"a workflow is a WorkflowGraph, not {type(graph).__name__}: {shorten(graph)}"
    if isinstance(graph, GenericPE):
        message += "; put it into one: graph = WorkflowGraph(); graph.add(…)"
    elif isinstance(graph, type) and issubclass(graph, WorkflowGraph | GenericPE):
        message += " (did you mean to call the class?)"
    elif isinstance(graph, ModuleType):
        names = [name for name, value in vars(graph).items() if isinstance(value, WorkflowGraph)]
        names = [f"{graph.__name__}.{name}" for name in names]
        message += f"; the graphs in it: {name_list(names)}"
    elif isinstance(graph, str):
        message += f"; load it first: dispel4py.utils.load_graph({graph!r})"
    raise TypeError(message)


def check_mapping(mapping: object) -> None:
    """Check that what is to run a graph is a mapping.

    Raises:
        OptionError: it is something else; the message says what to write.
    """
    advice = "give the name of one, such as 'simple' or 'multi', or a mapping of your own"
    if isinstance(mapping, type):
        raise OptionError(
            f"the mapping is the class {mapping.__name__}; {advice}: {mapping.__name__}()"
        )
    missing = [name for name in _PARTS if getattr(mapping, name, None) is None]
    if missing:
        raise OptionError(
            f"the mapping is {shorten(mapping)}, which has no {name_list(missing)}; {advice}"
        )
