"""`CallLoop`: calls `process` of a PE with one item after the other.

A tight loop calls PEs that have one output: those that leave `process` as `IterativePE`,
`ProducerPE` or `ConsumerPE` define it directly at `_process`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import CodeType
from typing import Any, NamedTuple

from dispel4py.base import ConsumerPE, IterativePE, ProducerPE
from dispel4py.checks.outputs import invalid_return_error, unknown_output_error
from dispel4py.core import GenericPE
from dispel4py.engine.copying import CountingCopier
from dispel4py.engine.immutable_types import IMMUTABLE, SMALL_INSIDE, TEXTS
from dispel4py.engine.plan import PlannedPE
from dispel4py.engine.sizes import SMALL_BYTES, ByteCounter
from dispel4py.engine.unreachable_items import CONTAINERS, copy_if_reachable
from dispel4py.engine.unsent_items import name_output
from dispel4py.engine.unwrapped_calls import unwrapped
from dispel4py.errors import ItemError


class DirectCall(NamedTuple):
    """How to call a PE with an item, and gather the item that it returns.

    Attributes:
        methods: name of an input, or None for a root → its `_process`, or what does the same.
        output: the output of what it returns.
        written: the list for what it returns.
        copier: copies that.
        counter: the counter of the list.
    """

    methods: Mapping[str | None, Callable[[Any], Any]]
    output: str
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
        direct: how to call the PE by `call_directly`; None if that cannot be done.
        is_direct: it can.
        on_error: see the arguments.
        on_large: see the arguments.
        max_bytes: see the arguments.
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
        self.max_bytes = max_bytes
        self.on_error = on_error
        self.on_large = on_large
        self.direct = _direct_call(planned, pe, written, copier, counters, results, self.gather)
        self.is_direct = self.direct is not None

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
        process, gather = self.process, self.gather
        item = None
        try:
            for item in items:
                returned = process(item if input_name is None else {input_name: item})
                if returned is not None:
                    gather(returned)
        except BaseException as error:
            self.on_error(error, item)
            return False
        return True

    @property
    def process(self) -> Callable[[Any], Any]:
        """The PE's method, which is looked up for each batch."""
        return self._results or self._pe.process

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
                written[name].append(copy_written(value, self._copier, counter))
            except ItemError as error:
                raise name_output(self._planned, name, error) from error.__cause__
            is_large = is_large or counter.bytes > self.max_bytes
        if is_large:
            self.on_large()

    def call_directly(self, input_name: str | None, items: Iterator[Any]) -> bool:
        """Call the PE with each item by `direct`; see `call`."""
        assert self.direct is not None
        methods, _, out, copier, counter = self.direct
        method = methods[input_name]
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
    gather: Callable[[Any], None],
) -> DirectCall | None:
    """Return how to call a PE directly; None if `process` may write to several outputs."""
    process = None if "process" in vars(pe) else type(pe).process
    inputs: list[str | None] = [None] if planned.is_root else [*pe.inputconnections]
    methods = dict.fromkeys(inputs, results or pe._process)
    if not planned.is_root and process is ConsumerPE.process:  # it has no output
        return DirectCall(methods, "", deque(maxlen=0), _discard, ByteCounter())
    if process is (ProducerPE.process if planned.is_root else IterativePE.process):
        output = getattr(pe, "OUTPUT_NAME", "")
        if output not in written:
            return None
    elif results is None and len(written) == 1:
        (output,) = written
        methods = {name: unwrapped(pe, name, output, gather) for name in inputs}
    else:
        return None
    return DirectCall(methods, output, written[output], copier, counters[output])


def _discard(data: Any, counter: ByteCounter) -> None:
    """Discard an item."""
