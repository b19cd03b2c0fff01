"""`EnteredExecutor`: an executor that another thread can enter in the middle of a call.

A PE may write and then wait for long, as a root does that reads from a device.  What it has written
need not wait until it writes again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dispel4py.engine.calls.instance_group import InstanceGroup
from dispel4py.engine.calls.runner import Runner
from dispel4py.engine.execution.executor import Executor
from dispel4py.engine.execution.outlets import Receiver


class EnteredExecutor(Executor):
    """See `Executor`; all that is added is for the other thread.

    It does not enter calls of PEs that seek, nor those of PEs with an input whose output gets ids
    or places while it is written.
    """

    _running: Runner | None = None

    @contextmanager
    def entered_call(self) -> Iterator[bool]:
        """Run the engine in the block, from another thread, while a PE is called.

        `call_stack` is as if the call had written now.

        Yields:
            False if the engine was not entered: there is no call, or it is inside another one.
        """
        runner = self._running
        if runner is None or self._calling:
            yield False
            return
        with runner.monitor.entered() as is_entered:
            if not is_entered or self._running is not runner or self._calling:
                yield False
                return
            self._calling.append(runner)
            try:
                yield True
            finally:
                self._calling.pop()

    @property
    def seconds_in_call(self) -> float:
        """For how long the call, or its batch, has gone on; to be read in `entered_call`."""
        return self._clock() - self._calling[-1].called_at

    def has_waited(self, seconds: float) -> bool:
        """Return whether the call has written something that waits; to be called in `entered_call`.

        What a call with a batch of items writes does not count, as long as it need not be sent.

        Args:
            seconds: for how long.
        """
        runner = self._calling[-1]
        return any(runner.written.values()) and self._clock() - runner.sent_at >= seconds

    def send_output(self) -> None:
        """Send what the call has written to other processes; to be called in `entered_call`.

        What stays in this process is held until the call writes again, or returns.
        """
        runner = self._calling[-1]
        self._outputs.hold(runner)
        runner.note_sent()

    def fail(self, error: BaseException) -> None:
        """Raise an error in the thread that calls the PE; to be called where that was entered.

        If the call does not return soon, its process is ended.
        """
        if self._failure is None:
            self._failure = error
        if self._running is not None:
            self._running.monitor.fail()

    def _prepare_runner(self, runner: Runner) -> None:
        is_safe = type(runner) is Runner or runner.planned.is_root
        if is_safe and not runner.planned.seeks:
            runner.can_be_entered = runner.monitor.is_shared = True

    def _call(self, receiver: Receiver, input_name: str | None, batch: Any) -> float:
        if self._calling or isinstance(receiver, InstanceGroup) or not receiver.can_be_entered:
            return receiver.process(input_name, batch)
        self._running = receiver
        try:
            return receiver.process(input_name, batch)
        finally:
            self._running = None
