"""`BatchCalls`: calls `_process_batch` of a PE with many items at once.

What a call returns is then handed on by a `CallLoop`, item by item, so that copies, ids and places
of items are as for single calls.  Where errors are skipped, a batch that fails is called again item
by item, to find those that fail.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from dispel4py.base import ConsumerPE, ProducerPE
from dispel4py.checks.batches import PLAIN, invalid_element_error, results_error
from dispel4py.engine.calls.batch_writer import BatchWriter
from dispel4py.engine.calls.call_loop import CallLoop
from dispel4py.engine.calls.forked_children import end_child
from dispel4py.engine.calls.runner_options import RunnerOptions, raise_error
from dispel4py.engine.items.copying import CountingCopier
from dispel4py.engine.items.immutable_types import IMMUTABLE, SMALL, TEXTS, is_numpy_scalar
from dispel4py.engine.items.sizes import SMALL_BYTES
from dispel4py.engine.planning.batch_growth import BatchBounds, BatchGrowth
from dispel4py.errors import shorten
from dispel4py.exceptions.unwinding import reraise_foreign

if TYPE_CHECKING:
    from dispel4py.engine.calls.runner import Runner


class FailedBatch(list[Any]):
    """The items of a batch that has failed; which of them is to blame is not known."""

    def __repr__(self) -> str:
        return f"in a batch of {len(self)}: {shorten([*self], 150)}"


class BatchCalls:
    """Calls one instance of a PE with batches.

    Args:
        runner: the runner of the instance, which is preprocessed.
        writer: its writer.
        copier: copies a returned item.
        max_bytes: output size at which output is sent at once.
        options: options of the runner.
    """

    def __init__(
        self,
        runner: Runner,
        writer: BatchWriter,
        copier: CountingCopier,
        max_bytes: int,
        options: RunnerOptions,
    ) -> None:
        planned, pe = runner.planned, runner.pe
        self._runner = runner
        self._writer = writer
        self._clock = options.clock
        self._copy = options.copier
        self._batch_bytes = options.limits.batch_bytes
        self._max_bytes = max_bytes
        self._skips = options.on_error is not raise_error
        bounds = planned.batch
        # Where items travel singly, they stay single.  So do those of a PE that keeps state where
        # errors are skipped: a call that fails may have changed the state for some of its items.
        is_single = options.limits.batch_items == 1 or (self._skips and planned.is_pinned)
        if bounds is None or is_single:
            bounds = BatchBounds(1, 0.0)
        self._growth = BatchGrowth(bounds, options.limits)
        self._is_plain = isinstance(pe, PLAIN)
        self._is_consumer = isinstance(pe, ConsumerPE)
        self._output: str = getattr(pe, "OUTPUT_NAME", "")
        self._unwraps = planned.is_root and self._is_plain and not isinstance(pe, ProducerPE)
        self._results: list[Any] = []
        self._loop = CallLoop(
            planned,
            pe,
            runner.written,
            runner.counters,
            copier,
            max_bytes,
            runner.fail_in_call,
            runner.send_large,
            self._next_result,
        )
        written = runner.written.get(self._output)
        #: Where results may go all at once.
        self._out = written if self._loop.is_direct and type(written) is list else None

    @property
    def size(self) -> int:
        """Most items of the next batch."""
        return self._growth.size

    def call(self, input_name: str | None, items: Sequence[Any]) -> None:
        """Call the PE with items, in batches.

        Args:
            input_name: the input of the items; None for the inputs of a root.
            items: the items; `BatchProgress.split` removes some.
        """
        for batch in self._batches(items):
            self._call_batch(input_name, batch)

    def _batches(self, items: Sequence[Any]) -> Iterator[Sequence[Any]]:
        progress = self._runner.progress
        done = 0
        if progress is None:
            while batch := items[done : done + self.size]:
                yield batch
                done += len(batch)
            return
        assert isinstance(items, list)
        remaining = iter(items)
        progress.begin(items, remaining)
        while batch := list(islice(remaining, self.size)):
            progress.mark(done)
            yield batch
            done += len(batch)

    def _call_batch(self, input_name: str | None, batch: Sequence[Any]) -> None:
        runner, writer = self._runner, self._writer
        data = runner.data_of(input_name, batch)
        count = len(data)
        spare = self._spare(batch) if self._skips and count > 1 else None
        writer.begin_call(count)
        started_at = self._clock()
        try:
            results = self._call_pe(input_name, data) if data else []
        except BaseException as error:
            self._fail(error, input_name, batch, spare)
            return
        writer.sent_at = self._clock()
        seconds = writer.sent_at - started_at
        if not self._extend(results):
            results.reverse()
            self._results = results
            del results, data  # an array that nothing else refers to needs no copy
            loop, each = self._loop, runner.each(input_name, batch)
            hand_on = loop.call_directly if loop.is_direct else loop.call
            while not hand_on(input_name, each):
                pass  # what came of an item cannot be carried; continue with the next
        writer.end_call()
        is_large = any(c.bytes >= self._batch_bytes for c in runner.counters.values())
        self._growth.note(count, seconds, is_large=is_large)

    def _call_pe(self, input_name: str | None, data: list[Any]) -> list[Any]:
        runner = self._runner
        count = len(data)  # the PE may change the list
        if self._unwraps:
            data = [call[runner.pe.INPUT_NAME] for call in data]  # type: ignore[attr-defined]
        elif not self._is_plain and input_name is not None:
            data = [{input_name: item} for item in data]
        returned = runner.pe._process_batch(data)
        if runner.is_forked:
            end_child()
        if returned is None or self._is_consumer:
            return [None] * count
        error = results_error(returned, count)
        if error is not None:
            raise error
        return list(returned)

    def _next_result(self, item: Any) -> Any:
        """Return what `process`, or `_process` if that is called directly, would return."""
        result = self._results.pop()
        if result is None or self._loop.is_direct:
            return result
        if self._is_plain:
            return {self._output: result}
        if not isinstance(result, Mapping):
            raise invalid_element_error(result)
        return result

    def _extend(self, results: list[Any]) -> bool:
        """Write all results at once; return False if they have to be copied one by one."""
        if self._out is None:
            return False
        kinds = set(map(type, results))
        if type(None) in kinds:
            results = [result for result in results if result is not None]
            kinds.discard(type(None))
        if not all(kind in IMMUTABLE or is_numpy_scalar(kind) for kind in kinds):
            return False
        self._out.extend(results)
        if not kinds <= SMALL:
            counter = self._runner.counters[self._output]
            sizes = [len(result) for result in results if type(result) in TEXTS]
            counter.bytes += sum(size for size in sizes if size > SMALL_BYTES)
            if counter.bytes > self._max_bytes:
                self._runner.send_large()
        return True

    # Failures.

    def _spare(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Return the items as they are now, as a call that fails may change them."""
        if not isinstance(batch, list) or IMMUTABLE.issuperset(map(type, batch)):
            return batch  # calls of a root are copied whenever they are read
        return [self._copy(item) for item in batch]

    def _fail(
        self,
        error: BaseException,
        input_name: str | None,
        batch: Sequence[Any],
        spare: Sequence[Any] | None,
    ) -> None:
        """Find out which items of a batch fail; or report all, if that is impossible."""
        runner = self._runner
        if runner.is_forked:
            end_child(error)
        reraise_foreign(error)
        if spare is not None and self._writer.take_back():
            for i in range(len(spare)):
                self._call_batch(input_name, spare[i : i + 1])
            return
        data = runner.data_of(input_name, batch)
        if self._skips or len(data) == 1:
            for item in data:
                runner.fail_in_call(error, item)
        else:
            runner.fail_in_call(error, FailedBatch(data))
        deque(runner.each(input_name, batch), maxlen=0)
        self._writer.end_call()
