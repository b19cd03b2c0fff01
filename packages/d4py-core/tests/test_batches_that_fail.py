"""M7: what becomes of a batch with items for which the PE raises."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from core_helpers.batch_graphs import LIMIT, Batched, Emit, chain, fail_at, outputs_of

from dispel4py import IterativePE, run
from dispel4py.engine.execution.executor import Executor
from dispel4py.engine.planning.plan import make_plan
from dispel4py.errors import ProcessingError


def test_m7_an_error_names_the_items_of_the_batch() -> None:
    def fail(pe: Any, items: list[int]) -> list[int]:
        if 9 in items:
            raise ValueError(f"bad {len(items)}: {items}")
        return items

    with pytest.raises(ProcessingError, match=r"in a batch of (\d+: \[.*\]): ValueError: bad \1$"):
        outputs_of(Emit(range(40)), Batched(fail))


def test_m7_where_errors_are_skipped_the_items_that_fail_are_found() -> None:
    result = run(
        chain(Emit(range(40)), Batched(lambda pe, items: fail_at(9, pe, items))),
        inputs=1,
        on_error="skip",
    )
    assert result.outputs["Batched1"]["output"] == [x for x in range(40) if x != 9]
    assert [failure.item for failure in result.failures] == [9]


def test_m7_a_batch_that_fails_leaves_no_trace() -> None:
    def change_and_write(pe: Any, items: list[list[int]]) -> list[Any]:
        for item in items:
            item.append(1)
            pe.write("output", item[0])
            if item[0] == 9:
                raise ValueError("bad")
        return items

    outputs = outputs_of(Emit([[x] for x in range(12)]), Batched(change_and_write), on_error="skip")
    assert sorted(map(str, outputs)) == sorted(
        [*map(str, range(12)), *(f"[{x}, 1]" for x in range(12) if x != 9)]
    )


def test_m7_a_batch_of_which_a_part_was_sent_is_skipped_as_a_whole() -> None:
    def write_much(pe: Any, items: list[int]) -> None:
        for number in range(3000):
            pe.write("output", number)
        if len(items) > 1:
            raise ValueError("bad")

    graph = chain(Emit(range(3)), Batched(write_much))
    result = run(graph, inputs=1, on_error="skip")
    assert sorted(failure.item for failure in result.failures) == [1, 2]
    assert result.outputs["Batched1"]["output"].count(0) == 2


def test_m7_a_batch_of_which_a_part_was_sent_does_not_matter_to_later_ones() -> None:
    def write_much_once(pe: Any, items: list[int]) -> list[int]:
        if 3 in items:
            for _ in range(3000):
                pe.write("output", -1)
        return fail_at(30, pe, items)

    graph = chain(Emit(range(40)), Batched(write_much_once))
    result = run(graph, inputs=1, on_error="skip")
    assert [failure.item for failure in result.failures] == [30]
    kept = [x for x in result.outputs["Batched1"]["output"] if x >= 0]
    assert kept == [x for x in range(40) if x != 30]


def test_m7_what_was_sent_since_a_thread_has_logged_is_not_written_again() -> None:
    sent, results, failed = threading.Event(), [], []

    class Handler:
        def result(self, pe_id: str, output: str, items: list[Any]) -> None:
            results.extend(items)
            if 1 in items:
                sent.set()

    def write_and_log(pe: Any, items: list[int]) -> None:
        for item in items:
            pe.write("output", item)
        if 1 in items:
            thread = threading.Thread(target=pe.log, args=("from a thread",))
            thread.start()
            thread.join()
            assert sent.wait(LIMIT)
            raise ValueError("bad")

    handler: Any = Handler()
    executor = Executor(
        make_plan(chain(Emit([]), Batched(write_and_log))),
        handler,
        on_error=lambda error, item: failed.append(item),
        log=lambda *line: None,
    )
    executor.push(1, 0, "input", [0, 1, 2, 3])
    executor.drain()
    executor.close_all()
    assert results == [0, 1, 2, 3]
    assert failed == [1, 2]  # in one call, of which a part has gone


def test_m7_a_pe_with_state_gets_items_singly_where_errors_are_skipped() -> None:
    class Total(IterativePE):
        stateful = True
        total = 0

        def _process_batch(self, items: list[int]) -> list[int]:
            totals = []
            for item in items:
                self.total += item
                if item == 9:
                    raise ValueError("bad")
                totals.append(self.total)
            return totals

    outputs = outputs_of(Emit(range(12)), Total(), on_error="skip")
    assert outputs == [0, 1, 3, 6, 10, 15, 21, 28, 36, 55, 66]
