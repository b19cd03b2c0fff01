"""Rule M7 on ranks: batches of items that have arrived, and items that wait for others."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from d4py_fixed.engine.batch_sizer import BatchSizer
from d4py_fixed.engine.limits import RankLimits
from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run

#: What ends a test that would otherwise wait.
TIMEOUT = 60


class Emit(ProducerPE):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def _process(self, inputs: Any) -> None:
        for number in range(self.count):
            self.write("output", number)


class Sized(IterativePE):
    """Sends the size of each batch."""

    single = True

    def __init__(self, size: int, seconds: float) -> None:
        super().__init__()
        self.batch_size, self.batch_seconds = size, seconds

    def _process_batch(self, items: list[int]) -> None:
        self.write("output", len(items))


class Slow(Sized):
    """Takes longer for a call than all items take to arrive."""

    def _process_batch(self, items: list[int]) -> None:
        time.sleep(0.3)
        super()._process_batch(items)


class WaitsForBatch(ProducerPE):
    """Sends an item in its first call; the second one ends once another PE has processed it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.calls = 0

    def _process(self, inputs: Any) -> int | None:
        self.calls += 1
        if self.calls == 1:
            return 1
        end = time.monotonic() + TIMEOUT
        while not self.path.exists():
            if time.monotonic() > end:
                raise TimeoutError("the item still waits for others")
            time.sleep(0.01)
        return None


class Touches(IterativePE):
    batch_seconds = 0.05

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def _process_batch(self, items: list[int]) -> list[int]:
        self.path.touch()
        return items


def sizes(root: ProducerPE, pe: IterativePE, mapping: str, calls: int = 1) -> list[int]:
    graph = WorkflowGraph()
    graph.connect(root, "output", pe, "input")
    result = run(graph, mapping=mapping, inputs=calls, processes=2)
    found: list[int] = result.outputs[f"{pe.name}1"]["output"]
    return found


@pytest.mark.parametrize("mapping", ["multi", "zmq_multi"])
def test_m7_items_wait_until_a_batch_is_full_or_nothing_more_comes(mapping: str) -> None:
    assert sizes(Emit(20), Sized(8, seconds=10 * TIMEOUT), mapping) == [8, 8, 4]


@pytest.mark.parametrize("mapping", ["multi", "zmq_multi"])
def test_m7_an_item_waits_no_longer_than_batch_seconds(mapping: str, tmp_path: Path) -> None:
    path = tmp_path / "processed"
    assert sizes(WaitsForBatch(path), Touches(path), mapping, calls=2) == [1]


def test_m7_what_arrived_during_a_call_becomes_one_batch() -> None:
    found = sizes(Emit(3000), Slow(10_000, seconds=0.0), "multi")
    assert sum(found) == 3000
    assert len(found) < 20


def test_m7_a_pe_that_takes_batches_is_sent_as_many_items() -> None:
    now = 0.0
    sizer = BatchSizer(RankLimits(), lambda: now, least_items=64)
    sizer.on_sent(1)
    now = 5.0  # so slow that other PEs would get single items
    sizer.on_credit()
    assert sizer.most_items == 64
