"""M7: items that wait for others, until there is a batch."""

from __future__ import annotations

from typing import Any

import pytest
from core_helpers.batch_graphs import Batched, Emit, chain, outputs_of

from dispel4py import GenericPE, IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.engine.limits import EngineLimits
from dispel4py.mappings.simple import SimpleMapping


class Ticking(ProducerPE):
    """Sends one item per call, and lets a clock advance by some seconds in each."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def _process(self, inputs: Any) -> int:
        Clock.now += self.seconds
        return 0


class Clock:
    """Stands for `perf_counter`; time passes only where a test moves it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def sizes_of(root: GenericPE, size: int, seconds: float, calls: int) -> list[int]:
    """Return the sizes of the batches of a PE behind a root."""
    pe = Batched(lambda pe, items: [len(items)] + [None] * (len(items) - 1))
    pe.batch_size, pe.batch_seconds = size, seconds
    mapping = SimpleMapping(EngineLimits(batch_items=2), Clock())
    return outputs_of(root, pe, inputs=calls, mapping=mapping)


def test_m7_items_wait_until_a_batch_is_full_or_nothing_more_comes() -> None:
    assert sizes_of(Ticking(0.0), size=4, seconds=60.0, calls=10) == [4, 4, 2]


def test_m7_items_wait_no_longer_than_batch_seconds() -> None:
    sizes = sizes_of(Ticking(1.0), size=100, seconds=3.0, calls=12)
    assert sum(sizes) == 12
    assert set(sizes) <= {3, 4, 5}


def test_m7_items_do_not_wait_by_default() -> None:
    assert sizes_of(Ticking(1.0), size=100, seconds=0.0, calls=5) == [1] * 5


def test_m7_items_that_waited_keep_their_order() -> None:
    first, second = Batched(), Batched()
    first.batch_size, first.batch_seconds = 7, 60.0
    second.batch_size, second.batch_seconds = 3, 60.0
    last = Batched()
    assert outputs_of(Emit(range(1500)), first, second, last, inputs=2) == [*range(1500)] * 2


def test_m7_what_has_waited_does_not_wait_again() -> None:
    pe = Batched()  # it keeps state, so a full batch is processed item by item
    pe.batch_size, pe.batch_seconds, pe.stateful = 4, 3600.0, True
    path = [pe, Batched()]
    mapping = SimpleMapping(clock=Clock())
    done: list[Any] = []

    class Watch(Ticking):
        def _process(self, inputs: Any) -> int:
            Watch.seen = len(done)
            return super()._process(inputs)

        seen = 0

    run(
        chain(Watch(0.0), *path),
        mapping,
        inputs=8,
        on_error="skip",
        on_result=lambda pe_id, output, item: done.append(item),
    )
    assert len(done) == 8
    assert Watch.seen >= 4


def test_m7_items_of_several_inputs_wait_in_the_order_in_which_they_came() -> None:
    class Merge(GenericPE):
        batch_size, batch_seconds = 4, 60.0

        def __init__(self) -> None:
            super().__init__()
            for name in ("low", "high"):
                self._add_input(name)
            self._add_output("output")

        def _process_batch(self, items: list[dict[str, int]]) -> list[dict[str, Any]]:
            return [{"output": item} for item in items]

    class Both(Emit):
        def __init__(self) -> None:
            super().__init__(())
            self._add_output("low")
            self._add_output("high")

        def _process(self, inputs: Any) -> None:
            for number in range(50):
                self.write("low" if number % 9 < 6 else "high", number)

    graph, both, merge = WorkflowGraph(), Both(), Merge()
    for name in ("low", "high"):
        graph.connect(both, name, merge, name)
    items = run(graph, inputs=1).outputs["Merge1"]["output"]
    for name in ("low", "high"):
        assert [item[name] for item in items if name in item] == [
            number for number in range(50) if (name == "low") == (number % 9 < 6)
        ]


def test_m7_items_of_a_grouped_input_wait_too_and_keep_their_order() -> None:
    class Grouped(Batched):
        numprocesses = 3
        batch_seconds = 60.0

        def __init__(self) -> None:
            super().__init__()
            self._add_input("input", grouping=[0])

    items = [(x % 5, x) for x in range(60)]
    got = outputs_of(Emit(items), Grouped())
    for key in range(5):
        assert [item for item in got if item[0] == key] == items[key::5]


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_m7_undeclared_state_is_noticed_and_a_cache_is_none(seconds: float) -> None:
    class Counts(IterativePE):
        batch_size, batch_seconds = 10, seconds
        count = 0

        def _process_batch(self, items: list[int]) -> list[int]:
            self.count += len(items)
            return items

    class Caches(IterativePE):
        batch_size, batch_seconds = 10, seconds
        model: Any = None

        def _process_batch(self, items: list[int]) -> list[int]:
            self.model = self.model or [1.0, 2.0]
            return items

    result = run(chain(Emit(range(100)), Counts()), inputs=1)
    assert [stats.changed for stats in result.stats.instances if stats.pe_id == "Counts1"] == [
        ("count",)
    ]
    result = run(chain(Emit(range(100)), Caches()), inputs=1)
    assert not any(stats.changed for stats in result.stats.instances)
