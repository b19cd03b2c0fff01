"""What kind of object something is, whatever it says.

`isinstance` asks an object for its `__class__`.  A lazy object loads itself for that, a proxy whose
object is gone raises, and so does one that stands for what is not there yet, such as Flask's
`current_app` outside of a request.  Any of these may be an attribute of a PE or a global variable
of a workflow.
"""

from __future__ import annotations

from types import UnionType
from typing import TypeGuard, TypeVar, overload

T = TypeVar("T")


@overload
def is_of_type(value: object, kind: type[T], /) -> TypeGuard[T]: ...
@overload
def is_of_type(value: object, kind: UnionType | tuple[type, ...], /) -> bool: ...
def is_of_type(value: object, kind: type | UnionType | tuple[type, ...], /) -> bool:
    """Return whether an object is an instance of a class or of one of several; asks it nothing."""
    return issubclass(type(value), kind)
