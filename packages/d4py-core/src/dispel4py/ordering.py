"""`OrderingRunner`: the runner of PEs with ordered inputs, and of all that lie on a way to one.

On such a way it takes the places off the items, and gives places to what is written.  At an ordered
input it calls the PE in the order of the places.  All other PEs are left to `Runner`, so they pay
nothing for this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from time import perf_counter
from typing import Any, NamedTuple

from dispel4py.core import GenericPE
from dispel4py.item_ids import Kept
from dispel4py.places import LATE, Call, Place, Void, Written
from dispel4py.plan import PlannedPE
from dispel4py.runner import OnWritten, Runner
from dispel4py.sequence import Sequence


class KeptOrder(NamedTuple):
    """An instance that moves to another process, with its part of the order.

    Attributes:
        pe: the PE, or that with what else is kept of it.
        number: see `Call`.
        who: tells this instance from others of its PE.
        sequence: what has come to it, if it has an ordered input.
    """

    pe: GenericPE | Kept
    number: int
    who: int
    sequence: Sequence | None


class OrderingRunner(Runner):
    """See `Runner`.

    Args:
        planned: as there.
        instance: as there.
        on_written: as there.
        rank: as there; a replica of a shared PE is known by it.
        restored: as there, or what `snapshot` of this class has kept.
        written: as there, of another `OrderingRunner`.
        options: as there.
    """

    def __init__(
        self,
        planned: PlannedPE,
        instance: int,
        on_written: OnWritten,
        *,
        rank: int = 0,
        restored: GenericPE | Kept | KeptOrder | None = None,
        written: dict[str, list[Any]] | None = None,
        **options: Any,
    ) -> None:
        call = Call(planned.index if planned.is_root else None)
        self._who = rank if planned.shared else instance
        self._sequence = Sequence(planned.ways) if planned.ordered else None
        if isinstance(restored, KeptOrder):
            restored, call.number, self._who, self._sequence = restored
        if written is None:
            written = {
                output: Written(call, *([routes[0].way] if len(routes) == 1 else ()))
                if any(route.way >= 0 for route in routes)
                else []
                for output, routes in planned.routes.items()
            }
        for items in written.values():
            if isinstance(items, Written):
                call = items.call  # the other runner's, if it is
        self._places = call
        self._voids = 0
        super().__init__(
            planned, instance, on_written, rank=rank, restored=restored, written=written, **options
        )

    @property
    def ahead(self) -> tuple[int, ...]:
        return () if self._sequence is None else self._sequence.ahead

    def preprocess(self) -> None:
        self._begin_late(0)
        super().preprocess()

    def postprocess(self) -> None:
        if self._sequence is not None:
            self._call_in_turn(self._sequence.finish())
        self._begin_late(1)
        super().postprocess()

    def process(self, input_name: str | None, items: list[Any]) -> float:
        if self._sequence is None or input_name not in self.planned.ordered:
            return self._call_with(input_name, items)
        sequence, name = self._sequence, input_name
        return self._call_in_turn(came for item in items for came in sequence.take(name, item))

    def give_up(self, item: Any, sent: Mapping[str, int]) -> None:
        for output, items in self.written.items():
            if isinstance(items, Written):
                if self.planned.is_root:
                    self._places.number += sent.get(output, 0)
                else:
                    self._places.begin(item.place, sent.get(output, 0))
                    self._places.end()
                return  # all outputs have sent as much

    def snapshot(self, dumps: Callable[[Any], bytes]) -> bytes:
        number = self._places.number if self.planned.is_root else 0
        return super().snapshot(lambda pe: dumps(KeptOrder(pe, number, self._who, self._sequence)))

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
            if type(item) is Void:
                self._voids += 1
            else:
                yield item.data
            if has_places:
                end()

    def _begin_late(self, phase: int) -> None:
        """What is written from now on comes after everything that has a place; not a root's."""
        position: Place = (LATE, self.planned.turn, self._who, phase)
        self._places.begin(position)
