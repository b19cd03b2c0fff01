"""M7: PEs that are called with batches of items, and what such a call may return."""

from __future__ import annotations

import os
from typing import Any

import pytest
from core_helpers.batch_graphs import Batched, Emit, chain, outputs_of

from dispel4py import ConsumerPE, GenericPE, IterativePE, ProducerPE, run
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.planning.batch_growth import BatchBounds, BatchGrowth
from dispel4py.engine.planning.plan import make_plan
from dispel4py.errors import GraphError, ProcessingError


def test_m7_results_belong_to_their_items_and_none_sends_nothing() -> None:
    pe = Batched(lambda pe, items: [None if x % 3 == 0 else x * 10 for x in items])
    assert outputs_of(Emit(range(100)), pe) == [x * 10 for x in range(100) if x % 3]


@pytest.mark.parametrize("kind", [list, tuple])
def test_m7_a_batch_may_return_any_of_these(kind: type) -> None:
    assert outputs_of(Emit(range(9)), Batched(lambda pe, items: kind(items))) == [*range(9)]


def test_m7_a_batch_may_return_a_numpy_array_whose_rows_are_independent() -> None:
    numpy = pytest.importorskip("numpy")
    flat = outputs_of(Emit([0.5] * 40), Batched(lambda pe, items: numpy.array(items) * 2))
    assert flat == [1.0] * 40
    rows = outputs_of(Emit(range(40)), Batched(lambda pe, items: numpy.zeros((len(items), 2))))
    assert len(rows) == 40
    rows[-1] += 1
    assert all((row == 0).all() for row in rows[:-1])


def test_m7_none_for_a_whole_batch_sends_nothing_but_what_was_written() -> None:
    def write_each(pe: Any, items: list[Any]) -> None:
        for item in items:
            pe.write("output", item)

    assert outputs_of(Emit(range(50)), Batched(write_each)) == [*range(50)]


def test_m7_a_generic_pe_gets_and_returns_dicts() -> None:
    class Sort(GenericPE):
        def __init__(self) -> None:
            super().__init__()
            self._add_input("number")
            self._add_output("odd")
            self._add_output("even")

        def _process_batch(self, items: list[dict[str, int]]) -> list[dict[str, int]]:
            return [{"odd" if item["number"] % 2 else "even": item["number"]} for item in items]

    result = run(chain(Emit(range(6)), Sort()), inputs=1)
    assert result.outputs["Sort1"] == {"odd": [1, 3, 5], "even": [0, 2, 4]}


def test_m7_a_consumer_and_a_root_get_batches() -> None:
    class Root(ProducerPE):
        def _process_batch(self, items: list[dict[str, int]]) -> list[int]:
            return [item["n"] for item in items]

    class Sink(ConsumerPE):
        def _process_batch(self, items: list[int]) -> None:
            got.extend(items)

    got: list[int] = []
    result = run(chain(Root(), Sink()), inputs=[{"n": n} for n in range(20)])
    assert got == [*range(20)]
    assert result.stats.items_per_pe() == {"Root0": 20, "Sink1": 20}


def test_m7_batches_grow_to_batch_size_and_no_further() -> None:
    pe = Batched(lambda pe, items: [len(items)] * len(items))
    pe.batch_size = 16
    sizes = outputs_of(Emit([0] * 500), pe)
    assert sizes[0] == 1
    assert max(sizes) == 16


@pytest.mark.parametrize(
    ("seconds_of", "size"),
    [
        (lambda count: 0.1, 256),  # a call takes equally long for any number of items
        (lambda count: 0.1 * count, 2),  # no faster with several items
        (lambda count: 0.1 + 0.01 * count, 128),
        (lambda count: 1e-6 * count, 256),  # so quick that no item has to wait
    ],
)
def test_m7_batches_grow_while_more_items_are_processed_per_second(
    seconds_of: Any, size: int
) -> None:
    growth = BatchGrowth(BatchBounds(256, 0.0), EngineLimits())
    for _ in range(30):
        growth.note(growth.size, seconds_of(growth.size))
    assert growth.size == size


def test_m7_batches_with_large_output_do_not_grow() -> None:
    growth = BatchGrowth(BatchBounds(256, 0.0), EngineLimits())
    growth.note(1, 0.001)
    growth.note(2, 0.001, is_large=True)
    assert growth.size == 2


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda pe, items: [*items[1:], 0, 0], r"called with a batch of 1 and returned 2"),
        (lambda pe, items: {1: 2}, r"returned \{1: 2\} of type dict"),
        (lambda pe, items: "a" * len(items), r"returned 'a' of type str"),
        (lambda pe, items: (x for x in items), r"of type generator"),
    ],
)
def test_m7_what_cannot_be_matched_with_the_items_is_an_error(work: Any, message: str) -> None:
    with pytest.raises(ProcessingError, match=rf"Batched1.*_process_batch\(\).*{message}"):
        outputs_of(Emit(range(5)), Batched(work))


def test_m7_an_element_of_a_generic_pe_must_be_a_dict() -> None:
    class Plain(GenericPE):
        def __init__(self) -> None:
            super().__init__()
            self._add_input("input")
            self._add_output("output")

        def _process_batch(self, items: list[Any]) -> list[int]:
            return [5 for _ in items]

    with pytest.raises(ProcessingError, match="element 5; an element can be a dict"):
        outputs_of(Emit([1]), Plain())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("batch_size", 0, "batch_size = 0; it must be a whole number of at least 1"),
        ("batch_size", 2.5, "batch_size = 2.5; it must be a whole number of at least 1"),
        ("batch_seconds", -1, "batch_seconds = -1; it must be a number of at least 0"),
        ("batch_seconds", float("nan"), "batch_seconds = nan; it must be a number of at least 0"),
        ("seeks", True, r"both _process_batch\(\) and seeks"),
        ("process", print, r"both process\(\) and _process_batch\(\)"),
        ("_process_batch", lambda: [], r"write def _process_batch\(self, items\)"),
    ],
)
def test_m7_a_pe_that_cannot_get_batches_is_a_problem(name: str, value: Any, message: str) -> None:
    kind = type("Wrong", (Batched,), {name: value})
    with pytest.raises(GraphError, match=f"Wrong1.*{message}"):
        make_plan(chain(Emit([1]), kind()))


def test_m7_bounds_do_not_matter_to_a_pe_without_batches() -> None:
    class Single(IterativePE):
        batch_size = 0

        def _process(self, data: int) -> int:
            return data

    assert outputs_of(Emit([1, 2]), Single()) == [1, 2]


def test_m7_ids_are_as_for_single_items() -> None:
    class Ids(IterativePE):
        item_ids = True

        def _process(self, data: int) -> Any:
            return data, self.item_id

    class BatchIds(IterativePE):
        item_ids = True

        def _process_batch(self, items: list[int]) -> Any:
            return list(zip(items, self.batch_item_ids, strict=True))

    single = outputs_of(Emit(range(50)), Ids(), Ids())
    assert outputs_of(Emit(range(50)), Ids(), BatchIds()) == single
    assert outputs_of(Emit(range(50)), BatchIds(), Ids()) == single


def test_m7_what_a_batch_writes_has_no_id() -> None:
    class Ids(IterativePE):
        item_ids = True

        def _process(self, data: int) -> Any:
            return self.item_id

    with pytest.raises(ProcessingError, match="wrote to output 'output' in _process_batch"):
        outputs_of(Emit([1]), Batched(lambda pe, items: pe.write("output", 1)), Ids())


def test_m7_a_batch_with_places_keeps_their_order() -> None:
    class Ordered(Batched):
        def __init__(self) -> None:
            super().__init__()
            self._add_input("input", ordered=True)

    drop = Batched(lambda pe, items: [None if x % 2 else x for x in items])
    assert outputs_of(Emit(range(300)), drop, Ordered()) == [*range(0, 300, 2)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_m7_a_process_that_a_batch_forks_ends_with_the_call() -> None:
    def fork(pe: Any, items: list[Any]) -> list[Any]:
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        return items

    assert outputs_of(Emit(range(20)), Batched(fork)) == [*range(20)]


def test_m7_outside_a_run_either_method_calls_the_other() -> None:
    class Double(IterativePE):
        def _process(self, data: int) -> int:
            return 2 * data

    assert Batched(lambda pe, items: [x + 1 for x in items]).process({"input": 4}) == {"output": 5}
    assert Double()._process_batch([1, 2]) == [2, 4]
    assert IterativePE().process({"input": 4}) is None
