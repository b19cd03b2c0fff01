"""`LeasedExecutor`: an executor whose current batch another thread can split.

Its work was leased to a worker.  While a call lasts, the worker's preemption thread can take back
what waits behind the call, so that idle workers need not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from dispel4py.engine.calls.batch_progress import BatchProgress
from dispel4py.engine.calls.runner import Runner
from dispel4py.engine.execution.entered_executor import EnteredExecutor
from dispel4py.engine.execution.outlets import Receiver
from dispel4py.engine.execution.work_stack import PendingItems
from dispel4py.engine.inputs import Batch, CallRange


class _CurrentBatch(NamedTuple):
    """A batch that can be split.

    Attributes:
        runner: the runner of its instance.
        progress: the progress of the runner.
        input_name: the input; None for calls of a root.
        items: the items.
        source: the batch as it was taken from the stack.
    """

    runner: Runner
    progress: BatchProgress
    input_name: str | None
    items: list[Any]
    source: Batch


class LeasedExecutor(EnteredExecutor):
    """See `Executor`; calls are committed as soon as they end.

    All that is added to `Executor` is for the preemption thread, but for `forbid_split`.
    """

    _leased = True
    _current: _CurrentBatch | None = None

    @property
    def current_batch(self) -> object | None:
        """The current batch if `split_batch` can split it; a new object for each batch."""
        current = self._current
        return None if current is None or current.progress.batch is not current.items else current

    @property
    def current_items(self) -> tuple[int, list[Any]]:
        """The number of the PE, and the items, of the current batch; only if there is one."""
        assert self._current is not None
        return self._current.runner.planned.index, self._current.items

    @property
    def has_pending(self) -> bool:
        """Whether there are items, here or in the current batch, that were not begun."""
        if self._current is None:
            return False
        return not self.stack.is_drained or self._current.progress.remaining > 0

    @property
    def has_written(self) -> bool:
        """Whether items of the current batch that are done have led to output.

        Of a root, what the current call has written so far is output as well.
        """
        if self._current is None:
            return False
        runner = self._current.runner
        is_waiting = runner.planned.is_root and any(runner.written.values())
        return is_waiting or self._current.progress.has_written

    @contextmanager
    def entered(self, batch: object) -> Iterator[bool]:
        """Run the engine in the block, from another thread, during a call of a batch.

        Args:
            batch: the batch, from `current_batch`.

        Yields:
            False if the engine was not entered, since this is not the current batch any more.
        """
        current = self._current
        if current is None or current is not batch:
            yield False
            return
        with current.runner.monitor.entered() as is_entered:
            yield is_entered and self._current is current

    def collect_output(self) -> None:
        """Collect what the call has written; to be called in `entered_call`.

        What is collected has to be taken from `stack`: while the call goes on, `drain` does
        not process it.
        """
        runner = self._calling[-1]
        self.stack += self._outputs.collect(runner)
        runner.note_sent()

    def split_batch(self, keep: Callable[[int], bool]) -> tuple[PendingItems, list[PendingItems]]:
        """Leave only the current call in the current batch; to be called in `entered`.

        The output of items that are done is sent.

        Args:
            keep: see `WorkStack.take`.

        Returns:
            The items of the batch that were begun and are not done, of which nothing was sent; and
            all other items that waited here.
        """
        current = self._current
        assert current is not None
        self._current = None
        parts = current.progress.split()
        begun: Batch = parts.begun
        not_begun: Batch = parts.not_begun
        source = current.source
        if isinstance(source, CallRange):  # by number: the root has got the dicts already
            end = len(current.items)
            begun, not_begun = source[end - len(begun) : end], source[end:]
        self.stack += self._outputs.collect(current.runner, parts.written)
        at = current.runner.planned.index, current.runner.instance, current.input_name
        waiting = self.stack.take(keep)
        if not_begun:
            waiting.append((*at, not_begun))
        return (*at, begun), waiting

    def forbid_split(self) -> None:
        """Keep the current batch whole: output of it was sent, so it cannot be repeated."""
        self._current = None

    def _prepare_runner(self, runner: Runner) -> None:
        super()._prepare_runner(runner)
        if type(runner) is Runner:
            runner.enable_split()

    def _call(self, receiver: Receiver, input_name: str | None, batch: Any) -> float:
        items = batch
        if isinstance(receiver, Runner) and (progress := receiver.progress) is not None:
            items = batch if isinstance(batch, list) else list(batch)
            if not self._calling and (input_name is not None or isinstance(batch, CallRange)):
                self._current = _CurrentBatch(receiver, progress, input_name, items, batch)
        try:
            return super()._call(receiver, input_name, items)
        finally:
            self._current = None

    def _run_nested(self, runner: Runner) -> None:
        self._current = None
        super()._run_nested(runner)
