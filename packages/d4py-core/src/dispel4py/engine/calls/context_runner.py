"""`ContextRunner`: the runner of PEs that need more of a call than its item.

It sets the id of the item (`GenericPE.item_ids`), or how much a repeated call had sent before
(`GenericPE.seeks`), as attributes of the PE, and gives ids to written items where a PE downstream
needs them.  All other PEs have a plain `Runner`, so they pay nothing for this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dispel4py.core import CALL_CONTEXT_ATTRIBUTES, GenericPE
from dispel4py.engine.calls.replay import SeekingCounter
from dispel4py.engine.calls.runner import Runner
from dispel4py.engine.inputs import CallRange
from dispel4py.engine.items.item_ids import IdentifiedOutput, InstanceSnapshot, call_id


class ContextRunner(Runner):
    """See `Runner`."""

    def __init__(
        self,
        *args: Any,
        restored: GenericPE | InstanceSnapshot | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, restored=restored, **options)
        self._number = restored.calls if isinstance(restored, InstanceSnapshot) else 0
        self._with_ids = [
            items for items in self.written.values() if isinstance(items, IdentifiedOutput)
        ]
        self._seeking = self.replay if isinstance(self.replay, SeekingCounter) else None

    def _make_lists(self) -> dict[str, list[Any]]:
        return {
            output: IdentifiedOutput(output) if any(route.with_ids for route in routes) else []
            for output, routes in self.planned.routes.items()
        }

    def preprocess(self) -> None:
        self._begin(call_id(self._origin, "preprocess"))
        super().preprocess()
        self._end()

    def postprocess(self) -> None:
        self._begin(call_id(self._origin, "postprocess"))
        super().postprocess()
        self._end()

    def _state(self) -> GenericPE | InstanceSnapshot:
        if not self.planned.with_ids:
            return super()._state()
        return InstanceSnapshot(self.pe, self._number, self._origin, self._stream.state)

    def data_of(self, input_name: str | None, items: Sequence[Any]) -> list[Any]:
        if not self.planned.with_ids:
            return list(items)
        if input_name is None:
            first = items.first if isinstance(items, CallRange) else self._number
            root = f"{self.planned.id}.0"
            ids = [call_id(root, first + i) for i in range(len(items))]
            data = list(items)
        else:
            ids, data = [item.id for item in items], [item.data for item in items]
        if self.planned.needs_ids:
            self.pe.batch_item_ids = ids
        return data

    def each(self, input_name: str | None, items: Sequence[Any]) -> Iterator[Any]:
        if isinstance(items, CallRange):  # it knows the numbers of the root's calls
            self._number = items.first
        root, seeking = f"{self.planned.id}.0", self._seeking
        for item in items:
            sent_before = {} if seeking is None else self._begin_seeking(seeking)
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
        """Begin the call with an id."""
        for items in self._with_ids:
            items.begin(call, sent_before.get(items.output, 0) if sent_before else 0)
        if self.planned.needs_ids:
            self.pe.item_id = call

    def _begin_seeking(self, seeking: SeekingCounter) -> Mapping[str, int]:
        """Begin a call; set how much it had sent before it was repeated."""
        is_tracked = seeking.sent is not None
        if is_tracked:
            self.monitor.enter()
        sent_before = seeking.begin_call(self.written)
        if is_tracked:
            self.monitor.leave()
        self.pe.sent_before = sent_before
        return sent_before

    def send_large(self) -> None:
        self._end_seeking()
        super().send_large()

    def _end(self) -> None:
        self._end_seeking()
        for name in CALL_CONTEXT_ATTRIBUTES:
            vars(self.pe).pop(name, None)

    def _end_seeking(self) -> None:
        if self._seeking is not None:
            self._seeking.end_call()
