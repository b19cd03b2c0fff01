"""`OrderedRunner`: the runner of PEs with ordered inputs, and of all PEs on a path to one.

On such a path it removes the places of the items, and gives places to written items.  At an ordered
input it calls the PE in the order of the places.  All other PEs have a plain `Runner`, so they pay
nothing for this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from dispel4py.core import GenericPE
from dispel4py.engine.calls.runner import Runner
from dispel4py.engine.items.item_ids import InstanceSnapshot
from dispel4py.engine.items.places import LATE, Call, EmptyPlace, Place, PlacedOutput
from dispel4py.engine.items.reorder_buffer import OrderedSnapshot, ReorderBuffer
from dispel4py.engine.planning.plan import PlannedPE


class OrderedRunner(Runner):
    """See `Runner`; `snapshot` may have returned `restored`."""

    def __init__(
        self,
        *args: Any,
        restored: GenericPE | InstanceSnapshot | OrderedSnapshot | None = None,
        **options: Any,
    ) -> None:
        snapshot = None
        if isinstance(restored, OrderedSnapshot):
            snapshot, restored = restored, restored.pe
        super().__init__(*args, restored=restored, **options)
        planned = self.planned
        placed = [items for items in self.written.values() if isinstance(items, PlacedOutput)]
        self._places = placed[0].call if placed else _make_call(planned)
        self._punctuation = 0
        self._source = self.stats.rank if planned.replicated else self.instance
        self._buffer = ReorderBuffer(planned.paths, self._limits) if planned.ordered else None
        if snapshot is not None:
            _, self._places.number, self._source, self._buffer = snapshot

    def _make_lists(self) -> dict[str, list[Any]]:
        call = _make_call(self.planned)
        written: dict[str, list[Any]] = {}
        for output, routes in self.planned.routes.items():
            if any(route.path >= 0 for route in routes):
                path = (routes[0].path,) if len(routes) == 1 else ()
                written[output] = PlacedOutput(call, *path)
            else:
                written[output] = []
        return written

    @property
    def roots_to_pause(self) -> tuple[int, ...]:
        return () if self._buffer is None else self._buffer.roots_to_pause

    def preprocess(self) -> None:
        self._begin_late(0)
        super().preprocess()

    def postprocess(self) -> None:
        if self._buffer is not None:
            self._call_in_order(self._buffer.finish())
        self._begin_late(1)
        super().postprocess()

    def process(self, input_name: str | None, items: list[Any]) -> float:
        if self._buffer is None or input_name not in self.planned.ordered:
            return self._call_with(input_name, items)
        buffer, name = self._buffer, input_name
        return self._call_in_order(ready for item in items for ready in buffer.take(name, item))

    def skip(self, item: Any, sent: Mapping[str, int]) -> None:
        for output, items in self.written.items():
            if isinstance(items, PlacedOutput):
                if self.planned.is_root:
                    self._places.number += sent.get(output, 0)
                else:
                    self._places.begin(item.place, sent.get(output, 0))
                    self._places.end()
                return  # all outputs have sent the same number

    def snapshot(self, dumps: Callable[[Any], bytes]) -> bytes:
        number = self._places.number if self.planned.is_root else 0
        return super().snapshot(
            lambda pe: dumps(OrderedSnapshot(pe, number, self._source, self._buffer))
        )

    def _call_in_order(self, ordered: Iterable[tuple[str, Any]]) -> float:
        """Call the PE with items, each with its input; many may have waited for one item."""
        seconds, sent_at = 0.0, self.clock()
        batch: list[Any] = []
        batch_input = ""
        for input_name, item in ordered:
            if batch and (input_name != batch_input or len(batch) >= self.slice):
                seconds += self._call_with(batch_input, batch)
                batch = []
                if self.clock() - sent_at >= self._limits.linger_seconds:
                    self._on_written(self)
                    sent_at = self.clock()
            batch_input = input_name
            batch.append(item)
        return seconds + self._call_with(batch_input, batch) if batch else seconds

    def _call_with(self, input_name: str | None, items: list[Any]) -> float:
        seconds = super().process(input_name, items)
        self.stats.items -= self._punctuation
        self._punctuation = 0
        return seconds

    def data_of(self, input_name: str | None, items: Sequence[Any]) -> list[Any]:
        if not self._come_with_places(input_name):
            return list(items)
        return [item.data for item in items if type(item) is not EmptyPlace]

    def each(self, input_name: str | None, items: Iterable[Any]) -> Iterator[Any]:
        begin, end = self._places.begin, self._places.end
        has_places = bool(self._places.outputs)
        if not self._come_with_places(input_name):
            yield from items
            return
        for item in items:
            if has_places:
                begin(item.place)
            if type(item) is EmptyPlace:
                self._punctuation += 1
            else:
                yield item.data
            if has_places:
                end()

    def _come_with_places(self, input_name: str | None) -> bool:
        """Return whether the items of an input have places."""
        if input_name is None:
            return False
        return bool(self._places.outputs) or input_name in self.planned.ordered

    def _begin_late(self, phase: int) -> None:
        """Place what is written from now on after all other items, unless the PE is a root."""
        position: Place = (LATE, self.planned.position, self._source, phase)
        self._places.begin(position)


def _make_call(planned: PlannedPE) -> Call:
    return Call(planned.index if planned.is_root else None)
