"""Helper functions of dispel4py, such as `load_graph` and `make_hash`."""

from __future__ import annotations

import inspect
import sys
from collections import deque
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

from dispel4py.engine.items.stable_hash import stable_hash
from dispel4py.object_types import is_of_type
from dispel4py.workflow_graph import WorkflowGraph

__all__ = [
    "findWorkflowGraph",
    "loadGraph",
    "loadGraphFromFile",
    "load_graph",
    "make_hash",
    "total_size",
]


def load_graph(graph_source: str, attr: str | None = None) -> WorkflowGraph:
    """Return the graph of a workflow in a Python file or module.

    Args:
        graph_source: path of a file, or name of a module.
        attr: name of the variable with the graph; None for the only graph.

    Raises:
        WorkflowLoadError: there is no such workflow.
    """
    from dispel4py import loading

    return loading.load_graph(graph_source, attr)


def loadGraph(module_name: str, attr: str | None = None) -> WorkflowGraph:
    """Return the graph of a module; see `load_graph`."""
    return load_graph(module_name, attr)


def loadGraphFromFile(module_name: str, path: str, attr: str | None = None) -> WorkflowGraph:
    """Return the graph of a file, and register its module by the given name too.

    Raises:
        WorkflowLoadError: there is no such workflow.
    """
    from dispel4py import loading

    loaded = loading.load_module(path)
    sys.modules.setdefault(module_name, loaded.module)
    return loaded.graph(attr)


def findWorkflowGraph(mod: ModuleType, attr: str | None = None) -> WorkflowGraph:
    """Return the graph in a module; see `load_graph`.

    Raises:
        WorkflowLoadError: there is none, or there are several.
    """
    from dispel4py import loading

    return loading.LoadedWorkflow(mod.__name__, mod).graph(attr)


def make_hash(obj: Any) -> int:
    """Return a hash of numbers, strings and containers of these, the same in every process.

    Raises:
        TypeError: the object has no such hash.
    """
    return stable_hash(obj)


def total_size(obj: Any) -> int:
    """Return the size in bytes of an object with all that it refers to, each part counted once.

    Follows containers and attributes (``__dict__`` and ``__slots__``), in cycles too.  Classes,
    modules and functions are counted without what they refer to, which belongs to the program.
    """
    seen = {id(obj): obj}  # keeps the objects, so that no id is reused
    waiting = [obj]
    size = 0
    while waiting:
        current = waiting.pop()
        size += sys.getsizeof(current)
        for part in _parts(current):
            if id(part) not in seen:
                seen[id(part)] = part
                waiting.append(part)
    return size


def _parts(obj: Any) -> Iterator[Any]:
    if is_of_type(obj, str | bytes | bytearray | type | ModuleType | FunctionType):
        return
    if is_of_type(obj, dict):
        yield from obj.keys()
        yield from obj.values()
    elif is_of_type(obj, list | tuple | set | frozenset | deque):
        yield from obj
    try:
        attributes = obj.__dict__
    except Exception:  # it has none, or is a proxy of what is not there
        pass
    else:
        yield attributes
    for kind in type(obj).__mro__:
        if "__slots__" in vars(kind):
            for slot in vars(kind).values():
                if inspect.ismemberdescriptor(slot) and (value := _slot_value(slot, obj)):
                    yield value[0]


def _slot_value(slot: Any, obj: Any) -> tuple[Any] | None:
    try:
        return (slot.__get__(obj),)
    except AttributeError:  # the slot was never set
        return None
