"""Types of immutable values, which are handed on without a copy.

Dates, decimals, fractions and UUIDs are among them from when the program has imported their
modules.  d4py does not import those for its own sake: it would take a tenth of a short command.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

#: Immutable types whose values may be large.
TEXTS = frozenset({str, bytes})
#: Immutable types whose values are small.
SMALL: set[type] = {int, float, bool, complex, range}
#: All of them.  Without None: as the return value of a PE, None is no item.
IMMUTABLE: set[type] = {*SMALL, *TEXTS}
#: The same for elements of containers.
SMALL_INSIDE: set[type] = {*SMALL, type(None)}
IMMUTABLE_INSIDE: set[type] = {*IMMUTABLE, type(None)}

#: Modules that have not been imported yet → their immutable types.
_to_come = {
    "datetime": ("date", "datetime", "time", "timedelta"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "uuid": ("UUID",),
}


class _Seen:
    """What the sets were last updated for.

    Attributes:
        modules: number of imported modules; -1 if one of them was being imported.
    """

    modules = 0


def add_imported_types() -> bool:
    """Add the immutable types of modules that were imported meanwhile; return if there were any."""
    if _Seen.modules == len(sys.modules):
        return False
    _Seen.modules = len(sys.modules)
    added = False
    for name in _to_come.keys() & sys.modules.keys():
        module = sys.modules[name]
        kinds: set[Any] = {getattr(module, kind, None) for kind in _to_come.get(name, ())}
        if None in kinds:  # another thread is importing the module
            _Seen.modules = -1
        else:
            for group in (SMALL, SMALL_INSIDE, IMMUTABLE, IMMUTABLE_INSIDE):
                group.update(kinds)
            _to_come.pop(name, None)
            added = True
    return added


@cache
def is_numpy_scalar(kind: type) -> bool:
    """Return whether a type is that of a NumPy number, string or time; NumPy is not imported."""
    names = {f"{base.__module__}.{base.__name__}" for base in kind.__mro__}
    return "numpy.generic" in names and not names & {"numpy.void", "numpy.object_"}
