"""Dispatch of the calls of a root to its instances.

A root has one instance, unless its calls are independent.  Several get calls in batches: large ones
at first, and single calls at the end, so that no instance has calls queued while others are idle.
"""

from __future__ import annotations

from collections.abc import Iterator

from d4py_fixed.engine.frames import Calls
from d4py_fixed.engine.limits import RankLimits
from dispel4py.engine.input_reader import InputReader, is_in_memory
from dispel4py.engine.inputs import CallRange, RootInput, calls
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.planning.plan import PlannedPE


class CallDispatcher:
    """Dispatches the calls of one root.

    Args:
        root: the root.
        inputs: its inputs.
        limits: bounds the batches in flight.
        engine: bounds what is read ahead.

    Attributes:
        is_done: All calls were dispatched.
    """

    def __init__(
        self,
        root: PlannedPE,
        inputs: RootInput,
        limits: RankLimits,
        engine: EngineLimits,
    ) -> None:
        self.is_done = False
        self._root = root
        self._in_flight = [0] * root.instances
        is_shared = root.instances > 1
        self._window = limits.shared_call_window if is_shared else limits.call_window
        self._waiting = CallRange(0, 0)
        self._reader: InputReader | None = None
        if is_in_memory(inputs, engine):
            in_memory = inputs if isinstance(inputs, int) else list(calls(root, inputs))
            self._waiting = CallRange(0, in_memory)
        else:
            self._reader = InputReader(root, inputs, engine)

    @property
    def is_lazy(self) -> bool:
        """The inputs are read as they are used, since they are not in memory."""
        return self._reader is not None

    def start(self) -> None:
        """Start reading the inputs."""
        if self._reader is not None:
            self._reader.start()

    def stop(self) -> None:
        """Stop reading the inputs."""
        if self._reader is not None:
            self._reader.stop()

    def on_credit(self, instance: int) -> None:
        """Handle the credit for one batch."""
        self._in_flight[instance] -= 1

    def dispatch(self) -> Iterator[Calls]:
        """Yield the batches that may be sent now.

        Raises:
            Exception: whatever the inputs raised.
        """
        while not self.is_done:
            instance = self._in_flight.index(min(self._in_flight))
            if self._in_flight[instance] >= self._window:
                return
            batch = self._next_batch()
            self.is_done = not self._waiting and (self._reader is None or self._reader.ended)
            if not batch and not self.is_done:
                return
            self._in_flight[instance] += bool(batch)
            yield Calls(self._root.index, batch.inputs, self.is_done, instance, batch.first)
            if self.is_done:
                for other in {*range(self._root.instances)} - {instance}:
                    yield Calls(self._root.index, 0, True, other)

    def _next_batch(self) -> CallRange:
        """Take calls that are there; all of them for a single instance."""
        if not self._waiting and self._reader is not None:
            self._waiting = CallRange(self._waiting.first, self._reader.take(0.0))
        instances, size = self._root.instances, len(self._waiting)
        if instances > 1:
            size = -(-size // (2 * instances))
        batch, self._waiting = self._waiting[:size], self._waiting[size:]
        return batch
