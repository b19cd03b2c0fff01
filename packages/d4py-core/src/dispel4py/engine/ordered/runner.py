"""`OrderedRunner`: the runner of PEs with ordered inputs, and of all that lie on a way to one.

On such a way it takes the places off the items, and gives places to what is written.  At an ordered
input it calls the PE in the order of the places.  All other PEs are left to `Runner`, so they pay
nothing for this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from time import perf_counter
from typing import Any

from dispel4py.core import GenericPE
from dispel4py.engine.item_ids import InstanceSnapshot
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.ordered.places import LATE, Call, EmptyPlace, Place, PlacedOutput
from dispel4py.engine.ordered.reorder_buffer import OrderedSnapshot, ReorderBuffer
from dispel4py.engine.plan import PlannedPE
from dispel4py.engine.runner import OnWritten, Runner


class OrderedRunner(Runner):
    """See `Runner`.

    Args:
        planned: as there.
        instance: as there.
        on_written: as there.
        rank: as there; a replica of a replicated PE is known by it.
        restored: as there, or what `snapshot` of this class has kept.
        written: as there, of another `OrderedRunner`.
        limits: as there.
        options: as there.
    """

    def __init__(
        self,
        planned: PlannedPE,
        instance: int,
        on_written: OnWritten,
        *,
        rank: int = 0,
        restored: GenericPE | InstanceSnapshot | OrderedSnapshot | None = None,
        written: dict[str, list[Any]] | None = None,
        limits: EngineLimits = EngineLimits(),
        **options: Any,
    ) -> None:
        call = Call(planned.index if planned.is_root else None)
        self._source = rank if planned.replicated else instance
        self._buffer = ReorderBuffer(planned.paths, limits) if planned.ordered else None
        if isinstance(restored, OrderedSnapshot):
            restored, call.number, self._source, self._buffer = restored
        if written is None:
            written = {
                output: PlacedOutput(call, *([routes[0].path] if len(routes) == 1 else ()))
                if any(route.path >= 0 for route in routes)
                else []
                for output, routes in planned.routes.items()
            }
        for items in written.values():
            if isinstance(items, PlacedOutput):
                call = items.call  # the other runner's, if it is
        self._places = call
        self._voids = 0
        super().__init__(
            planned,
            instance,
            on_written,
            rank=rank,
            restored=restored,
            written=written,
            limits=limits,
            **options,
        )

    @property
    def roots_to_pause(self) -> tuple[int, ...]:
        return () if self._buffer is None else self._buffer.roots_to_pause

    def preprocess(self) -> None:
        self._begin_late(0)
        super().preprocess()

    def postprocess(self) -> None:
        if self._buffer is not None:
            self._call_in_turn(self._buffer.finish())
        self._begin_late(1)
        super().postprocess()

    def process(self, input_name: str | None, items: list[Any]) -> float:
        if self._buffer is None or input_name not in self.planned.ordered:
            return self._call_with(input_name, items)
        buffer, name = self._buffer, input_name
        return self._call_in_turn(came for item in items for came in buffer.take(name, item))

    def skip(self, item: Any, sent: Mapping[str, int]) -> None:
        for output, items in self.written.items():
            if isinstance(items, PlacedOutput):
                if self.planned.is_root:
                    self._places.number += sent.get(output, 0)
                else:
                    self._places.begin(item.place, sent.get(output, 0))
                    self._places.end()
                return  # all outputs have sent as much

    def snapshot(self, dumps: Callable[[Any], bytes]) -> bytes:
        number = self._places.number if self.planned.is_root else 0
        return super().snapshot(
            lambda pe: dumps(OrderedSnapshot(pe, number, self._source, self._buffer))
        )

    def _call_in_turn(self, in_turn: Iterable[tuple[str, Any]]) -> float:
        """Call the PE with items, each with its input; many may have waited for one that came."""
        seconds, sent_at = 0.0, perf_counter()
        batch: list[Any] = []
        by = ""
        for input_name, item in in_turn:
            if batch and (input_name != by or len(batch) >= self.slice):
                seconds += self._call_with(by, batch)
                batch = []
                if perf_counter() - sent_at >= self._linger:
                    self._on_written(self)
                    sent_at = perf_counter()
            by = input_name
            batch.append(item)
        return seconds + self._call_with(by, batch) if batch else seconds

    def _call_with(self, input_name: str | None, items: list[Any]) -> float:
        seconds = super().process(input_name, items)
        self.stats.items -= self._voids
        self._voids = 0
        return seconds

    def _each(self, input_name: str | None, items: Iterable[Any]) -> Iterator[Any]:
        begin, end = self._places.begin, self._places.end
        has_places = bool(self._places.outputs)
        if input_name is None or not (has_places or input_name in self.planned.ordered):
            yield from items
            return
        for item in items:
            if has_places:
                begin(item.place)
            if type(item) is EmptyPlace:
                self._voids += 1
            else:
                yield item.data
            if has_places:
                end()

    def _begin_late(self, phase: int) -> None:
        """Put what is written from now on behind everything that has a place; not of a root."""
        position: Place = (LATE, self.planned.turn, self._source, phase)
        self._places.begin(position)
