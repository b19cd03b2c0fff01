"""Timing: `ProcessTimingPE` for calls of a PE, `Timer` for any code."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from dispel4py.core import CALL_CONTEXT_ATTRIBUTES, GenericPE


class Timer:
    """Measures the time spent in a ``with`` block, in seconds.

    >>> with Timer() as timer:
    ...     total = sum(range(1000))
    >>> timer.secs >= 0
    True

    Args:
        verbose: print the time at the end of the block.
    """

    def __init__(self, verbose: bool = False) -> None:
        self.verbose = verbose
        self.start = self.end = self.secs = 0.0

    def __enter__(self) -> Self:
        self.start = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end = time.perf_counter()
        self.secs = self.end - self.start
        if self.verbose:
            print(f"elapsed time: {self.secs} s")


class ProcessTimingPE(GenericPE):
    """A PE that wraps another one and times each call of its `process`.

    The wrapper has the ports, the name, the number of processes and the state declaration of the
    wrapped PE, and logs the average when the instance ends.

    Args:
        baseObject: the PE to time.

    Attributes:
        times_total: seconds spent in `process`.
        times_count: calls of `process`.
    """

    def __init__(self, baseObject: GenericPE) -> None:
        super().__init__(baseObject.numprocesses)
        self.baseObject = baseObject
        self.inputconnections = baseObject.inputconnections
        self.outputconnections = baseObject.outputconnections
        self.name = baseObject.name
        self.id = baseObject.id
        self.single = baseObject.single
        self.stateful = baseObject.stateful
        self.item_ids = baseObject.item_ids
        self.seeks = baseObject.seeks
        self.ignored_state = ("times_total", "times_count")
        self.times_total = 0.0
        self.times_count = 0

    def set_input_types(self, types: dict[str, Any]) -> None:
        self.baseObject.set_input_types(types)

    def get_output_types(self) -> dict[str, Any]:
        return self.baseObject.get_output_types()

    def preprocess(self) -> None:
        self._base().preprocess()

    def process(self, inputs: dict[str, Any]) -> dict[str, Any] | None:
        base = self._base()
        with Timer() as timer:
            result = base.process(inputs)
        self.times_total += timer.secs
        self.times_count += 1
        return result

    def postprocess(self) -> None:
        self._base().postprocess()
        if self.times_count:
            self.log(f"Average processing time: {self.times_total / self.times_count}")
        else:
            self.log("Average processing time: no item came")

    def _base(self) -> GenericPE:
        """Return the wrapped PE, set up so that this PE writes and logs for it.

        To be called before each call: a run sets up its copy of this PE, and may create another
        copy at any time (to send it, or to restore its state after a crash).
        """
        base = self.baseObject
        base.id = self.id
        base.rank = self.rank
        base._run_writer = self.write
        base._run_log = self._run_log
        for name in CALL_CONTEXT_ATTRIBUTES:
            if name in vars(self):
                setattr(base, name, getattr(self, name))
        return base
