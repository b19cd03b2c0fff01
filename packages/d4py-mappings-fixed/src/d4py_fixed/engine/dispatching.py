"""Dispatch of the calls of a root to its instances.

A root has one instance, unless its calls are independent.  Several get calls in pieces: large ones
at first, and single calls at the end, so that no instance is left with calls while others wait.
"""

from __future__ import annotations

from collections.abc import Iterator

from d4py_fixed.engine.frames import Calls
from dispel4py.engine.input_reader import InputReader, is_in_memory
from dispel4py.engine.inputs import CallRange, RootInput, calls
from dispel4py.engine.plan import PlannedPE

#: Pieces that one of several instances has not used up, and batches that a single one has not.
_SHARED_WINDOW, _WINDOW = 2, 4


class CallDispatcher:
    """Dispatches the calls of one root.

    Args:
        root: the root.
        given: its inputs.

    Attributes:
        done: everything was dispatched.
    """

    def __init__(self, root: PlannedPE, given: RootInput) -> None:
        self.done = False
        self._root = root
        self._unused = [0] * root.instances
        self._window = _WINDOW if root.instances == 1 else _SHARED_WINDOW
        self._left = CallRange(0, 0)
        self._reader: InputReader | None = None
        if is_in_memory(given):
            made = given if isinstance(given, int) else list(calls(root, given))
            self._left = CallRange(0, made)
        else:
            self._reader = InputReader(root, given)

    @property
    def reads(self) -> bool:
        """The inputs are read as they are used, since they are not at hand."""
        return self._reader is not None

    def start(self) -> None:
        """Begin to read the inputs."""
        if self._reader is not None:
            self._reader.start()

    def stop(self) -> None:
        """Read nothing more of the inputs."""
        if self._reader is not None:
            self._reader.stop()

    def answered(self, instance: int) -> None:
        """Take note that an instance has used a piece up."""
        self._unused[instance] -= 1

    def dispatch(self) -> Iterator[Calls]:
        """Yield what can be sent now.

        Raises:
            Exception: whatever the inputs raised.
        """
        root, several = self._root, self._root.instances > 1
        while not self.done:
            instance = self._unused.index(min(self._unused))
            if self._unused[instance] >= self._window:
                return
            if not self._left and self._reader is not None:
                self._left = CallRange(self._left.first, self._reader.take(0.0))
            size = -(-len(self._left) // (2 * root.instances)) if several else len(self._left)
            piece, self._left = self._left[:size], self._left[size:]
            is_all = not self._left and (self._reader is None or self._reader.ended)
            if piece or is_all:
                self._unused[instance] += bool(piece)
                yield Calls(root.index, piece.inputs, is_all, instance, piece.first)
            elif not piece:
                return
            if is_all:
                self.done = True
                for other in {*range(root.instances)} - {instance}:
                    yield Calls(root.index, 0, True, other)
