"""What a lease has produced becomes one commit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d4py_dynamic.store.tasks import ANY, CALLS, ITEMS, Lease, Task
from d4py_dynamic.worker.limits import WorkerLimits
from d4py_dynamic.worker.outbox import Outbox
from dispel4py.engine.inputs import CallRange
from dispel4py.errors import ProcessingError
from dispel4py.result import Failure

LIMIT = WorkerLimits().outbox_bytes


def test_everything_is_taken_once():
    outbox = Outbox()
    failure = Failure(ProcessingError("A0", 0, "process", "1", "no"))
    lease = Lease(Task(CALLS, 0), "token")
    outbox.add_items(1, ANY, "input", [1, 2])
    outbox.add_results("B1", "output", ["x"])
    outbox.add_failure(failure)
    commit = outbox.take([lease], idle=0)
    assert commit.leases == [lease]
    assert commit.tasks == [Task(ITEMS, 1, ANY, "input", [1, 2])]
    assert commit.results == [("B1", "output", ["x"])]
    assert commit.failures == [failure]
    empty = outbox.take([], idle=3)
    assert (empty.leases, empty.tasks, empty.results, empty.failures) == ([], [], [], [])


def test_m3_items_for_one_instance_stay_together_and_in_order():
    outbox = Outbox()
    for number in range(10):
        outbox.add_items(1, 0, "input", [number])
        outbox.add_items(1, 1, "input", [-number])
        outbox.add_items(1, 0, "other", [str(number)])
    tasks = outbox.take([], idle=5).tasks
    assert tasks == [
        Task(ITEMS, 1, 0, "input", [*range(10)]),
        Task(ITEMS, 1, 1, "input", [-number for number in range(10)]),
        Task(ITEMS, 1, 0, "other", [*map(str, range(10))]),
    ]


@given(st.integers(1, 300), st.integers(0, 9))
def test_shared_items_are_cut_so_that_each_idle_worker_gets_some(count, idle):
    outbox = Outbox()
    outbox.add_items(1, ANY, "input", [*range(count)])
    tasks = outbox.take([], idle).tasks
    assert [item for task in tasks for item in task.payload] == [*range(count)]
    assert all(task.payload for task in tasks)
    assert len(tasks) >= min(count, idle) or not idle
    assert len(tasks) <= max(1, 2 * idle)


@given(st.integers(1, 300), st.integers(0, 9), st.booleans())
def test_d3_so_are_calls_that_are_given_away(count, idle, as_number):
    outbox = Outbox()
    dicts = [{"number": number} for number in range(count)]
    outbox.add_shared(1, None, CallRange(20, count if as_number else dicts))
    assert not outbox.is_empty
    tasks = outbox.take([], idle).tasks
    assert outbox.is_empty
    assert {task[:4] for task in tasks} == {(CALLS, 1, ANY, None)}
    numbers = [task.payload.first + i for task in tasks for i in range(len(task.payload))]
    assert numbers == [*range(20, 20 + count)]
    assert [call for task in tasks for call in task.payload] == (
        [{}] * count if as_number else dicts
    )
    assert len(tasks) >= min(count, idle) or not idle
    assert len(tasks) <= max(1, 2 * idle)


@pytest.mark.parametrize(
    "items",
    [
        [b"x" * (LIMIT + 1)],
        [b"", *[b"x" * 100_000] * 20],
        [{"name": "a", "data": b"x" * 100_000}] * 20,
        [("a", [b"x" * 100_000])] * 20,
        [1] * (LIMIT // 20),
    ],
    ids=["one", "a small one first", "in dicts", "in lists in tuples", "many small ones"],
)
def test_c6_an_outbox_becomes_heavy_before_it_holds_much(items):
    outbox = Outbox()
    outbox.add_results("A0", "output", items)
    assert outbox.is_heavy
    outbox.take([], idle=0)
    assert not outbox.is_heavy


def test_c6_so_it_does_with_arrays():
    numpy = pytest.importorskip("numpy")
    outbox = Outbox()
    outbox.add_items(0, 0, "input", [{"wave": numpy.zeros(1 << 17)}] * 2)
    assert outbox.is_heavy


def test_an_outbox_of_a_few_numbers_is_not_heavy():
    outbox = Outbox()
    outbox.add_items(0, 0, "input", [*range(1000)])
    assert not outbox.is_heavy
