"""What a PE could keep in its class, where instances of one process share it.

Nothing carries it to other processes or into a checkpoint, and a later run in the process begins
with it.  A typical mistake is ``seen = []`` in the class in place of ``self.seen = []`` in
``__init__``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from typing import Any

from dispel4py.core import GenericPE
from dispel4py.errors import name_list
from dispel4py.object_types import is_of_type

_CHANGEABLE = (list, dict, set, bytearray, deque, int, float, complex, str, bytes, type(None))


def class_attributes(pe: GenericPE, ignored: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Yield values that calls could change in the classes of a PE, named ``Class.attribute``.

    Attributes of `GenericPE` are left out.

    Args:
        pe: the PE.
        ignored: names of attributes to leave out as well.
    """
    for kind in type(pe).__mro__:
        if kind.__module__.partition(".")[0] in ("builtins", "dispel4py"):
            continue
        for name, value in [*vars(kind).items()]:
            if name in ignored or name.startswith("__") or hasattr(GenericPE, name):
                continue
            if is_of_type(value, _CHANGEABLE):
                yield f"{kind.__name__}.{name}", value


def describe_class_state(pe_id: str, names: tuple[str, ...]) -> str:
    """Return the message about a PE that keeps state in its class, or shares it with one that does.

    Args:
        pe_id: the PE.
        names: what has changed, by class and attribute.
    """
    attribute = names[0].partition(".")[2]
    what, which = ("an attribute", "it") if len(names) == 1 else ("attributes", "them")
    return (
        f"{pe_id}: {name_list(names)}, {what} of its class, changed: all instances of that class in"
        f" one process share {which}, others do not, and no checkpoint holds {which}; make {which}"
        f" in __init__ (self.{attribute} = …), or name {which} in `ignored_state` if results do not"
        f" depend on {which}"
    )
