"""`CallLoop`: calls `process` of a PE with one item after the other.

A PE that leaves `process` as `IterativePE`, `ProducerPE` or `ConsumerPE` define it is called
directly at `_process`, in a tight loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import CodeType
from typing import Any, NamedTuple

from dispel4py.base import ConsumerPE, IterativePE, ProducerPE
from dispel4py.checks.outputs import invalid_return_error, unknown_output_error
from dispel4py.core import GenericPE
from dispel4py.engine.calls.unsent_items import name_output
from dispel4py.engine.items.copying import CountingCopier
from dispel4py.engine.items.immutable_types import IMMUTABLE, SMALL_INSIDE, TEXTS
from dispel4py.engine.items.sizes import SMALL_BYTES, ByteCounter
from dispel4py.engine.items.unreachable_items import CONTAINERS, copy_if_reachable
from dispel4py.engine.planning.plan import PlannedPE
from dispel4py.errors import ItemError

#: In place of the name of a PE's only output.
SEVERAL = object()


class DirectCall(NamedTuple):
    """How to call `_process` of a PE, and gather what it returns.

    Attributes:
        method: the bound method.
        written: the list for what it returns.
        copier: copies that.
        counter: the counter of the list.
    """

    method: Callable[[Any], Any]
    written: list[Any] | deque[Any]
    copier: CountingCopier
    counter: ByteCounter


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
        direct: how to call `_process` directly, by `call_directly`; None if that cannot be done.
        is_direct: it can.
        output: the output of what `_process` returns, if that is called directly, or else the PE's
            only output; `SEVERAL` if it has none or several.
        on_error: see the arguments.
        on_large: see the arguments.
        max_bytes: see the arguments.
        copier: see the arguments.
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
        self.copier = copier
        self.max_bytes = max_bytes
        self.on_error = on_error
        self.on_large = on_large
        self.direct = _direct_call(planned, pe, written, copier, counters, results)
        self.is_direct = self.direct is not None
        self.output: Any = next(iter(written)) if len(written) == 1 else SEVERAL
        if self.is_direct:
            self.output = getattr(pe, "OUTPUT_NAME", SEVERAL)

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
        process, gather, output = self.process, self.gather, self.output
        out, counter, copier, max_bytes = *self.stored(), self.copier, self.max_bytes
        in_list = input_name is not None
        item = None
        try:
            for item in items:
                returned = process(item if input_name is None else {input_name: item})
                if returned is None:
                    continue
                if type(returned) is not dict or len(returned) != 1 or output not in returned:
                    gather(returned)
                    continue
                data = returned[output]
                returned = None  # the dict would count as a reference to the item
                if data is None or type(data) in IMMUTABLE:
                    data = copy_written(data, copier, counter)
                else:
                    data = copy_if_reachable(data, item, copier, counter, in_list)
                out.append(data)
                if counter.bytes > max_bytes:
                    self.on_large()
        except BaseException as error:
            self.on_error(error, item)
            return False
        return True

    @property
    def process(self) -> Callable[[Any], Any]:
        """The PE's method, which is looked up for each batch."""
        return self._results or self._pe.process

    def stored(self) -> tuple[list[Any], ByteCounter]:
        """Return the list and the counter of `output`; new ones if it is `SEVERAL`."""
        if self.output is SEVERAL:
            return [], ByteCounter()
        return self._written[self.output], self._counters[self.output]

    def gather(self, returned: Any) -> None:
        """Store what `process` has returned.

        Raises:
            UnknownOutputError: it has an output that the PE has not.
            ItemError: an item cannot be copied.
        """
        if type(returned) is not dict:
            returned = self._as_dict(returned)
        written, counters = self._written, self._counters
        is_large = False
        for name, value in returned.items():
            if name not in written:
                raise unknown_output_error(self._planned.id, [*written], name, returned)
            counter = counters[name]
            try:
                written[name].append(copy_written(value, self.copier, counter))
            except ItemError as error:
                raise name_output(self._planned, name, error) from error.__cause__
            is_large = is_large or counter.bytes > self.max_bytes
        if is_large:
            self.on_large()

    def call_directly(self, input_name: str | None, items: Iterator[Any]) -> bool:
        """Call `_process` of the PE with each item; see `call`."""
        assert self.direct is not None
        method, out, copier, counter = self.direct
        max_bytes, small, text = self.max_bytes, SMALL_BYTES, str
        immutables, texts, containers = IMMUTABLE, TEXTS, CONTAINERS
        pair, smalls = tuple, SMALL_INSIDE
        on_large = self.on_large
        in_list = input_name is not None  # the dicts that a root is called with need not be
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
                if kind is pair and len(data) == 2:
                    one, two = data
                    if ((type(one) is text and len(one) <= small) or type(one) in smalls) and (
                        type(two) is immutable
                        or (type(two) is text and len(two) <= small)
                        or type(two) in smalls
                    ):
                        out.append(data)  # neither to be copied nor to be measured
                        continue
                if kind in immutables:
                    if kind in texts:
                        counter.bytes += len(data)
                    else:
                        immutable = kind
                elif data is None:
                    continue
                elif kind in containers and not counter.has_trees:
                    data = copier(data, counter)  # takes less time than to find out
                else:
                    one = two = None  # they would count as references to what is in a pair
                    data = copy_if_reachable(data, item, copier, counter, in_list)
                out.append(data)
                if counter.bytes > max_bytes:
                    on_large()
        except BaseException as error:
            self.on_error(error, item)
            return False
        return True

    def _as_dict(self, returned: Any) -> Mapping[str, Any]:
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
) -> DirectCall | None:
    """Return how to call `_process` directly; None if `process` does more than call it."""
    method = results or pe._process
    if "process" in vars(pe):
        return None
    process = type(pe).process
    if planned.is_root:
        if process is not ProducerPE.process:
            return None
    elif process is ConsumerPE.process:
        return DirectCall(method, deque(maxlen=0), _discard, ByteCounter())  # it has no output
    elif process is not IterativePE.process:
        return None
    output = getattr(pe, "OUTPUT_NAME", None)
    if output not in written:
        return None
    return DirectCall(method, written[output], copier, counters[output])


def _discard(data: Any, counter: ByteCounter) -> None:
    """Discard an item."""
