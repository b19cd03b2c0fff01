"""`ContextRunner`: the runner of PEs that want to know more of a call than its item.

It tells a PE the id of the item (`GenericPE.item_ids`), or what a call that is repeated had sent
before (`GenericPE.seeks`), and gives ids to what is written where somebody further down wants them.
All other PEs are left to `Runner`, so they pay nothing for this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dispel4py.core import TOLD_ATTRIBUTES, GenericPE
from dispel4py.engine.inputs import CallRange
from dispel4py.engine.item_ids import IdentifiedOutput, InstanceSnapshot, call_id
from dispel4py.engine.plan import PlannedPE
from dispel4py.engine.runner import CallOffset, OnWritten, Runner


class ContextRunner(Runner):
    """See `Runner`.

    Args:
        planned: as there.
        instance: as there.
        on_written: as there.
        rank: as there; a replica of a shared PE is known by it.
        restored: as there, or what `snapshot` of this class has kept.
        written: as there, of another `ContextRunner`.
        options: as there.
    """

    def __init__(
        self,
        planned: PlannedPE,
        instance: int,
        on_written: OnWritten,
        *,
        rank: int = 0,
        restored: GenericPE | InstanceSnapshot | None = None,
        written: dict[str, list[Any]] | None = None,
        **options: Any,
    ) -> None:
        self._number = restored.calls if isinstance(restored, InstanceSnapshot) else 0
        if written is None:
            written = {
                output: IdentifiedOutput(output) if any(route.with_ids for route in routes) else []
                for output, routes in planned.routes.items()
            }
        super().__init__(
            planned, instance, on_written, rank=rank, restored=restored, written=written, **options
        )
        self._with_ids = [
            items for items in written.values() if isinstance(items, IdentifiedOutput)
        ]
        self._cut: CallOffset | None = None
        self._begun = 0
        self._sent_at_begin: dict[str, int] | None = None

    def preprocess(self) -> None:
        self._begin(call_id(self._origin, "preprocess"))
        super().preprocess()
        self._end()

    def postprocess(self) -> None:
        self._begin(call_id(self._origin, "postprocess"))
        super().postprocess()
        self._end()

    def track(
        self, sent_before: Mapping[str, int] | None = None, cut: CallOffset | None = None
    ) -> None:
        super().track(sent_before)
        self._cut = cut
        self._begun = 0

    @property
    def cut(self) -> CallOffset | None:
        if self._cut is not None or not self.planned.seeks:
            return self._cut  # whoever was lost had come further
        if self._sent_at_begin is None or self.sent is None:
            return CallOffset(self._begun)
        before = self._sent_at_begin
        sent = {output: count - before[output] for output, count in self.sent.items()}
        return CallOffset(self._begun - 1, tuple(sent.items()))

    @property
    def still_cut(self) -> CallOffset | None:
        return (
            None if self._cut is None else CallOffset(self._cut.calls - self._begun, self._cut.sent)
        )

    def _kept(self) -> GenericPE | InstanceSnapshot:
        if not self.planned.with_ids:
            return super()._kept()
        return InstanceSnapshot(self.pe, self._number, self._origin, self._stream.drawn)

    def _each(self, input_name: str | None, items: Sequence[Any]) -> Iterator[Any]:
        if isinstance(items, CallRange):  # which of all the root's calls these are
            self._number = items.first
        root = f"{self.planned.id}.0"
        for item in items:
            sent_before = self._begin_seeking() if self.planned.seeks else {}
            if not self.planned.with_ids:
                data = item
            elif input_name is None:
                self._begin(call_id(root, self._number), sent_before)
                self._number += 1
                data = item
            else:
                self._begin(item.id, sent_before)
                data = item.data
            yield data
        self._end()

    def _begin(self, call: str, sent_before: Mapping[str, int] | None = None) -> None:
        """A call begins: tell its id."""
        for items in self._with_ids:
            items.begin(call, sent_before.get(items.output, 0) if sent_before else 0)
        if self.planned.asks_for_ids:
            self.pe.item_id = call

    def _begin_seeking(self) -> Mapping[str, int]:
        """A call begins: tell what it had sent before, which is sent once and for all now."""
        sent_before = dict.fromkeys(self.written, 0)
        if self.sent is not None:
            self.monitor.enter()
            self._sent_at_begin = {
                output: count + len(self.written[output]) for output, count in self.sent.items()
            }
            self.monitor.leave()
            if self._cut is not None and self._cut.calls == self._begun:
                sent_before.update(self._cut.sent)
                self._cut = None
                for output, count in sent_before.items():
                    self.sent[output] += count
                    self._sent_before[output] = max(0, self._sent_before.get(output, 0) - count)
            self._begun += 1
        self.pe.sent_before = sent_before
        return sent_before

    def _hand_on(self) -> None:
        self._sent_at_begin = None  # the call is complete
        super()._hand_on()

    def _end(self) -> None:
        self._sent_at_begin = None
        for name in TOLD_ATTRIBUTES:
            vars(self.pe).pop(name, None)
