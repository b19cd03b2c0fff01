"""Images of VTK and PyVista: they keep their direction, which their own pickle leaves out.

The direction says where in space each value is; without it a turned image is turned back.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any


def reducers(data_model: Any) -> dict[type, Callable[[Any], Any]]:
    """Return the reducers of images, by type."""
    return dict.fromkeys(_with_subclasses(data_model.vtkImageData), _reduce)


def _with_subclasses(kind: Any) -> Iterator[Any]:
    yield kind
    for inner in kind.__subclasses__():
        yield from _with_subclasses(inner)


def _reduce(image: Any) -> Any:
    registered = copyreg.dispatch_table.get(type(image))
    reduced: Any = image.__reduce_ex__(5) if registered is None else registered(image)
    matrix = image.GetDirectionMatrix()
    direction = [matrix.GetElement(*at) for at in product(range(3), repeat=2)]
    parts: list[Any] = [*reduced, None]
    function, arguments, state = parts[:3]
    has_more = any(part is not None for part in parts[3:])
    if matrix.IsIdentity() or has_more or not (state is None or hasattr(image, "__setstate__")):
        return reduced
    return function, arguments, (state, direction), None, None, _set_state


def _set_state(image: Any, state: tuple[Any, list[float]]) -> None:
    own_state, direction = state
    if own_state is not None:
        image.__setstate__(own_state)
    image.SetDirectionMatrix(direction)
