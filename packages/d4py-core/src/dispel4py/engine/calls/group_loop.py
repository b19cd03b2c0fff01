"""`GroupLoop`: calls the instances of a PE in turn, each with its own items.

As `CallLoop` does for one instance; the instances share the lists of what they write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import CodeType
from typing import Any

from dispel4py.engine.calls.call_loop import CallLoop, copy_written
from dispel4py.engine.items.immutable_types import IMMUTABLE, TEXTS
from dispel4py.engine.items.sizes import SMALL_BYTES
from dispel4py.engine.items.unreachable_items import CONTAINERS, copy_if_reachable


class GroupLoop:
    """Calls instances of one PE, and gathers what they return.

    Args:
        loops: number of an instance → its loop.

    Attributes:
        is_direct: see `CallLoop`.
    """

    def __init__(self, loops: Mapping[int, CallLoop]) -> None:
        self._loops = loops
        self._first = next(iter(loops.values()))
        self.is_direct = all(loop.is_direct for loop in loops.values())

    @classmethod
    def code_objects(cls) -> tuple[CodeType, CodeType]:
        """See `CallLoop.code_objects`."""
        return cls.call.__code__, cls.call_directly.__code__

    def call(self, input_name: str | None, items: Iterator[Any], instances: Iterator[int]) -> bool:
        """Call `process` with each item; see `CallLoop.call`.

        Args:
            input_name: the input of the items.
            items: the items.
            instances: the instance to call with each.

        Returns:
            False at the first item that fails.
        """
        methods = {i: loop.process for i, loop in self._loops.items()}
        first = self._first
        gather, output, copier, max_bytes = (
            first.gather,
            first.output,
            first.copier,
            first.max_bytes,
        )
        out, counter = first.stored()
        item: Any = None
        instance = 0
        try:
            for item in items:  # not by zip(), which holds a reference: see `copy_if_reachable`
                instance = next(instances)
                returned = methods[instance]({input_name: item})
                if returned is None:
                    continue
                if type(returned) is not dict or len(returned) != 1 or output not in returned:
                    gather(returned)
                    continue
                data = returned[output]
                returned = None  # see `CallLoop.call`
                if data is None or type(data) in IMMUTABLE:
                    data = copy_written(data, copier, counter)
                else:
                    data = copy_if_reachable(data, item, copier, counter)
                out.append(data)
                if counter.bytes > max_bytes:
                    first.on_large()
        except BaseException as error:
            self._loops[instance].on_error(error, item)
            return False
        return True

    def call_directly(
        self, input_name: str | None, items: Iterator[Any], instances: Iterator[int]
    ) -> bool:
        """Call `_process` with each item; see `call`."""
        direct = {i: loop.direct for i, loop in self._loops.items() if loop.direct is not None}
        methods = {i: call.method for i, call in direct.items()}
        _, out, copier, counter = next(iter(direct.values()))
        max_bytes, on_large = self._first.max_bytes, self._first.on_large
        immutables, texts, small = IMMUTABLE, TEXTS, SMALL_BYTES
        containers = CONTAINERS
        immutable: type = int  # see `CallLoop.call_directly`
        item: Any = None
        instance = 0
        try:
            for item in items:  # not by zip(), which holds a reference: see `copy_if_reachable`
                instance = next(instances)
                data = methods[instance](item)
                if type(data) is immutable:
                    out.append(data)
                    continue
                if data is None:
                    continue
                kind = type(data)
                if kind in texts:
                    if len(data) > small:
                        counter.bytes += len(data)
                elif kind in immutables:
                    immutable = kind
                elif kind in containers and not counter.has_trees:
                    data = copier(data, counter)  # takes less time than to find out
                else:
                    data = copy_if_reachable(data, item, copier, counter)
                out.append(data)
                if counter.bytes > max_bytes:
                    on_large()
        except BaseException as error:
            self._loops[instance].on_error(error, item)
            return False
        return True
