"""Arrays from single items, for functions that are faster with many numbers at once."""

from typing import TYPE_CHECKING, Any

from dispel4py import IterativePE

if TYPE_CHECKING:
    import numpy as np


class ToArrays(IterativePE):
    """Sends arrays made of a number of items each; the last one may be shorter.

    To compute with many items and send a result for each, override `_process_batch` instead.

    Args:
        size: number of items in an array; items of shape (…) become an array of shape (size, …).
        dtype: type of the array's elements, as for `numpy.array`; None takes that of the items.
    """

    stateful = True

    def __init__(self, size: int, dtype: str | None = None) -> None:
        super().__init__()
        self.size = size
        self.dtype = dtype
        self.items: list[Any] = []

    def _process(self, item: Any) -> "np.ndarray[Any, Any] | None":
        self.items.append(item)
        return self._array() if len(self.items) == self.size else None

    def postprocess(self) -> None:
        if self.items:
            self.write("output", self._array())

    def _array(self) -> "np.ndarray[Any, Any]":
        import numpy as np

        array = np.array(self.items, dtype=self.dtype)
        self.items = []
        return array
