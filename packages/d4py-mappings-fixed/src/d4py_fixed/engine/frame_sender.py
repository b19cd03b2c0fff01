"""Sends the items and results of one rank, without those that cannot be pickled."""

from __future__ import annotations

from functools import partial
from typing import Any

from d4py_fixed.engine.frame_transport import FrameTransport
from d4py_fixed.engine.frames import CODEC, Items, Results
from d4py_fixed.engine.placement import Placement
from dispel4py.engine.calls.runner_options import OnError
from dispel4py.engine.calls.unsent_items import (
    drop_unpicklable,
    unpicklable_item_error,
    unpicklable_result_error,
    without_unpicklable,
)
from dispel4py.engine.execution.pickled_items import UnreadItem
from dispel4py.errors import ItemError
from dispel4py.result import Failure


class FrameSender:
    """Sends items and results by a `FrameTransport`.

    Args:
        placement: the plan, and which rank runs what.
        rank: number of the sending rank.
        frames: carries the frames of that rank.
        on_error: called with the error of an item that cannot be pickled; raises, or skips the
            item by returning.
    """

    def __init__(
        self, placement: Placement, rank: int, frames: FrameTransport, on_error: OnError
    ) -> None:
        self._placement = placement
        self._rank = rank
        self._driver = placement.ranks
        self._frames = frames
        self._on_error = on_error

    def send_items(self, pe: int, instance: int, input_name: str, items: list[Any]) -> int:
        """Send a batch to an input of an instance; return its size in bytes."""
        rank = self._placement.rank_of[pe, instance]
        try:
            return self._frames.send(rank, Items(pe, instance, input_name, items))
        except ItemError:
            items = drop_unpicklable(items, CODEC.dumps, partial(self._refuse, pe, input_name))
            return self._frames.send(rank, Items(pe, instance, input_name, items))

    def send_results(
        self, results: list[tuple[str, str, list[Any]]], failures: list[Failure]
    ) -> None:
        """Send results and failures to the driver."""
        try:
            self._frames.send(self._driver, Results(results, failures))
        except ItemError:
            kept = [
                (pe_id, output, self._without_unpicklable(pe_id, output, items))
                for pe_id, output, items in results
            ]
            failures = without_unpicklable(failures, CODEC.dumps)
            self._frames.send(self._driver, Results(kept, failures))

    def refuse_unread(self, pe: int, input_name: str, item: UnreadItem) -> None:
        """Handle the error of an item that this rank has received and cannot unpickle."""
        writer, instance = item.writer
        plan = self._placement.plan
        self._on_error(
            unpicklable_item_error(plan, pe, input_name, [writer], item.error, instance), None
        )

    def _refuse(self, pe: int, input_name: str, error: ItemError) -> None:
        plan = self._placement.plan
        writers = dict.fromkeys(pe for pe, _ in self._placement.instances_on(self._rank))
        self._on_error(unpicklable_item_error(plan, pe, input_name, writers, error), None)

    def _without_unpicklable(self, pe_id: str, output: str, items: list[Any]) -> list[Any]:
        def refuse(error: ItemError) -> None:
            self._on_error(
                unpicklable_result_error(self._placement.plan, pe_id, output, error), None
            )

        return drop_unpicklable(items, CODEC.dumps, refuse)
