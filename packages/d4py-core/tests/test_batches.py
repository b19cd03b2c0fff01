"""Rule M7 in one process: PEs that get several items in one call of `_process_batch`."""

from __future__ import annotations

import os
import threading
from itertools import pairwise
from typing import Any

import pytest

from dispel4py import ConsumerPE, GenericPE, IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.engine.batch_growth import BatchBounds, BatchGrowth
from dispel4py.engine.executor import Executor
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.plan import make_plan
from dispel4py.errors import GraphError, ProcessingError
from dispel4py.mappings.simple import SimpleMapping

#: What ends a test that would otherwise wait.
LIMIT = 60


class Emit(ProducerPE):
    def __init__(self, items: Any) -> None:
        super().__init__()
        self.items = items

    def _process(self, inputs: Any) -> None:
        for item in self.items:
            self.write("output", item)


class Batched(IterativePE):
    """Calls a function with the PE and the items of a batch, and notes how many these are."""

    ignored_state = ("sizes",)

    def __init__(self, work: Any = lambda pe, items: items) -> None:
        super().__init__()
        self.work = work
        self.sizes: list[int] = []

    def _process_batch(self, items: list[Any]) -> Any:
        self.sizes.append(len(items))
        return self.work(self, items)


def chain(*pes: GenericPE) -> WorkflowGraph:
    graph = WorkflowGraph()
    for source, destination in pairwise(pes):
        graph.connect(source, "output", destination, next(iter(destination.inputconnections)))
    return graph


def outputs_of(*pes: GenericPE, inputs: Any = 1, **options: Any) -> list[Any]:
    """Run a chain, and return what its last PE has sent to its output."""
    result = run(chain(*pes), inputs=inputs, **options)
    return next(iter(result.outputs.values()), {}).get("output", [])


def fail_at(bad: Any, pe: Any, items: list[Any]) -> list[Any]:
    for item in items:
        if item == bad:
            raise ValueError(f"bad {item}")
    return items


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


def test_m7_an_error_names_the_items_of_the_batch() -> None:
    with pytest.raises(ProcessingError, match=r"in a batch of 8: \[7, 8, .*: bad 9"):
        outputs_of(Emit(range(40)), Batched(lambda pe, items: fail_at(9, pe, items)))


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


class Ticking(ProducerPE):
    """Sends one item per call, and lets a clock advance by some seconds in each."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def _process(self, inputs: Any) -> int:
        Clock.now += self.seconds
        return 0


class Clock:
    """Stands for `perf_counter`; time passes only when told."""

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
