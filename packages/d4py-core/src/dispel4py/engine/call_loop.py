"""`CallLoop`: calls `process` of a PE with one item after the other.

A PE that leaves `process` as `IterativePE`, `ProducerPE` or `ConsumerPE` define it is called
directly at `_process`, in a tight loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import CodeType
from typing import Any

from dispel4py.base import ConsumerPE, IterativePE, ProducerPE
from dispel4py.checks.outputs import invalid_return_error, unknown_output_error
from dispel4py.core import GenericPE
from dispel4py.engine.copying import IMMUTABLE, CountingCopier
from dispel4py.engine.plan import PlannedPE
from dispel4py.engine.sizes import SMALL_BYTES, ByteCounter
from dispel4py.engine.unique_arrays import is_unreachable
from dispel4py.engine.unsent_items import name_output
from dispel4py.errors import ItemError

#: A PE's `_process`, the list for what it returns, a copier, and the counter of that list.
_DirectCall = tuple[Callable[[Any], Any], list[Any] | deque[Any], CountingCopier, ByteCounter]

#: Frequent types that are no arrays.
_CONTAINERS = frozenset({tuple, dict, list})
#: Immutable types whose values may be large.
TEXTS = frozenset({str, bytes})
#: Immutable types whose values are small.
SMALL = IMMUTABLE - TEXTS


class CallLoop:
    """Calls a PE, and gathers what it returns.

    Args:
        planned: the PE in the plan.
        pe: the PE.
        written: output name → list of written items.
        counters: output name → counter of the bytes of those items.
        copier: copies a returned item.
        max_bytes: output size at which `on_large` is called.
        on_error: called with an exception, and the item of the call.
        on_large: called between two calls once the output is large.
        results: called in place of the PE's method, which was called with all items at once
            already: returns what it has returned for an item.

    Attributes:
        is_direct: `_process` can be called directly, by `call_directly`.
    """

    def __init__(
        self,
        planned: PlannedPE,
        pe: GenericPE,
        written: dict[str, list[Any]],
        counters: dict[str, ByteCounter],
        copier: CountingCopier,
        max_bytes: int,
        on_error: Callable[[BaseException, Any], None],
        on_large: Callable[[], None],
        results: Callable[[Any], Any] | None = None,
    ) -> None:
        self._planned = planned
        self._pe = pe
        self._results = results
        self._written = written
        self._counters = counters
        self._copier = copier
        self._max_bytes = max_bytes
        self._on_error = on_error
        self._on_large = on_large
        self._direct = _direct_call(planned, pe, written, copier, counters, results)
        self.is_direct = self._direct is not None

    @classmethod
    def code_objects(cls) -> tuple[CodeType, CodeType]:
        """Return the code of the functions that loop over ``items``; see `leave_loops`."""
        return cls.call.__code__, cls.call_directly.__code__

    def call(self, input_name: str | None, items: Iterator[Any]) -> bool:
        """Call `process` of the PE with each item.

        Args:
            input_name: the input of the items; None for the inputs of a root.
            items: the items.

        Returns:
            False at the first item that fails.
        """
        process: Callable[[Any], Any] = self._results or self._pe.process
        written, copier, counters = self._written, self._copier, self._counters
        item = None
        try:
            for item in items:
                returned = process(item if input_name is None else {input_name: item})
                if type(returned) is not dict:
                    returned = self._as_dict(returned)
                is_large = False
                for name, value in returned.items():
                    if name not in written:
                        raise unknown_output_error(self._planned.id, [*written], name, returned)
                    counter = counters[name]
                    try:
                        written[name].append(copy_written(value, copier, counter))
                    except ItemError as error:
                        raise name_output(self._planned, name, error) from error.__cause__
                    is_large = is_large or counter.bytes > self._max_bytes
                if is_large:
                    self._on_large()
        except BaseException as error:
            self._on_error(error, item)
            return False
        return True

    def call_directly(self, input_name: str | None, items: Iterator[Any]) -> bool:
        """Call `_process` of the PE with each item; see `call`."""
        assert self._direct is not None
        method, out, copier, counter = self._direct
        max_bytes, small, text = self._max_bytes, SMALL_BYTES, str
        immutables, texts, containers = IMMUTABLE, TEXTS, _CONTAINERS
        on_large = self._on_large
        immutable: type = int  # type of the last item: most streams have items of one type
        item = None
        # Kept short: a jump is slower where the loop's code is too long for a one-byte argument.
        try:
            for item in items:
                data = method(item)
                if type(data) is immutable:
                    out.append(data)
                    continue
                kind = type(data)
                if kind is text and len(data) <= small:
                    out.append(data)
                    continue
                if kind in immutables:
                    if kind in texts:
                        counter.bytes += len(data)
                    else:
                        immutable = kind
                elif data is None:
                    continue
                elif kind in containers or not is_unreachable(data, item):
                    data = copier(data, counter)
                else:
                    counter.bytes += data.nbytes
                out.append(data)
                if counter.bytes > max_bytes:
                    on_large()
        except BaseException as error:
            self._on_error(error, item)
            return False
        return True

    def _as_dict(self, returned: Any) -> Mapping[str, Any]:
        if returned is None:
            return {}
        if isinstance(returned, Mapping):
            return returned
        raise invalid_return_error(self._pe, returned)


def copy_written(data: Any, copier: CountingCopier, counter: ByteCounter) -> Any:
    """Return a written item as it is stored, and count its bytes."""
    kind = type(data)
    if kind not in IMMUTABLE:
        return copier(data, counter)
    if kind in TEXTS and len(data) > SMALL_BYTES:
        counter.bytes += len(data)
    return data


def _direct_call(
    planned: PlannedPE,
    pe: GenericPE,
    written: dict[str, list[Any]],
    copier: CountingCopier,
    counters: dict[str, ByteCounter],
    results: Callable[[Any], Any] | None,
) -> _DirectCall | None:
    """Return how to call `_process` directly; None if `process` does more than call it."""
    method = results or pe._process
    if "process" in vars(pe):
        return None
    process = type(pe).process
    if planned.is_root:
        if process is not ProducerPE.process:
            return None
    elif process is ConsumerPE.process:
        return method, deque(maxlen=0), _discard, ByteCounter()  # it has no output
    elif process is not IterativePE.process:
        return None
    output = getattr(pe, "OUTPUT_NAME", None)
    return (method, written[output], copier, counters[output]) if output in written else None


def _discard(data: Any, counter: ByteCounter) -> None:
    """Discard an item."""
