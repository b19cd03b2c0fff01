"""Items that cannot be pickled are left out of a commit, as failures of the PEs that wrote them."""

import pytest

from d4py_conformance.suite import chain
from d4py_dynamic.store.serialization import CODEC
from d4py_dynamic.store.tasks import ANY, FINISH, ITEMS, Commit, Task
from d4py_dynamic.worker.unsent_items import leave_out_unsent
from dispel4py import Failure, IterativePE, ProcessingError, ProducerPE
from dispel4py.engine.items.places import EmptyPlace, Placed
from dispel4py.engine.planning.plan import make_plan


class Count(ProducerPE):
    n = 0

    def _process(self, inputs):
        self.n += 1
        return self.n


class Find(IterativePE):
    """Sends what it gets, but at 3 what cannot be pickled."""

    def _process(self, data):
        return (n for n in ()) if data == 3 else data


class Show(IterativePE):
    def _process(self, data):
        return str(data)[:9]


class Long(IterativePE):
    def _process(self, data):
        return len(data) if isinstance(data, str) else data.missing


@pytest.fixture
def plan():
    return make_plan(chain(Count(), Find(), Show()))


def refused():
    return (n for n in ())


def test_what_is_left_is_committed(plan):
    commit = Commit(
        tasks=[
            Task(ITEMS, 2, ANY, "input", [1, refused(), 2]),
            Task(ITEMS, 2, ANY, "input", [refused()]),
            Task(ITEMS, 1, ANY, "input", [Placed((0, 1), refused())]),
            Task(FINISH, 1),
        ],
        results=[("Show2", "output", [refused(), "3"])],
        failures=[Failure(ProcessingError("Show2", 0, "process", "…", "KeyError"), refused())],
    )

    leave_out_unsent(plan, commit, skips=True)

    assert [task.payload for task in commit.tasks] == [[1, 2], [EmptyPlace((0, 1))], None]
    assert commit.results == [("Show2", "output", ["3"])]
    assert [failure.pe_id for failure in commit.failures] == [
        *("Show2", "Find1", "Find1", "Count0", "Show2"),
    ]
    assert [failure.item for failure in commit.failures] == [None] * 5
    CODEC.dumps((commit.tasks, commit.results, commit.failures))


def test_where_nothing_is_skipped_it_is_an_error_of_the_pe(plan):
    commit = Commit(tasks=[Task(ITEMS, 2, ANY, "input", [1, [2, refused()]])])

    with pytest.raises(ProcessingError) as caught:
        leave_out_unsent(plan, commit, skips=False)

    assert caught.value.pe_id == "Find1"
    for word in ("output 'output'", "input 'input' of Show2", "element 1 (a generator)"):
        assert word in caught.value.reason


@pytest.mark.parametrize("last", [[], [Show]], ids=["result", "item"])
def test_c3_items_that_were_not_copied_are_skipped(in_processes, last):
    graph = chain(Count(), Find(), *(kind() for kind in last))
    result = in_processes(graph, 5, 3, on_error="skip", share_items=True)

    # A worker that runs both PEs hands the item from one to the other as it is.
    (outputs,) = result.outputs.values()
    shown = sorted(str(data) for data in outputs["output"])
    failed = [failure.pe_id for failure in result.failures]
    assert (shown, failed) in (
        (["1", "2", "4", "5"], ["Find1"]),
        (["1", "2", "4", "5", "<generato"], []),
    )


def test_c3_a_failure_leaves_out_an_item_that_cannot_be_pickled(in_processes):
    result = in_processes(chain(Count(), Find(), Long()), 5, 1, on_error="skip", share_items=True)

    assert {failure.item for failure in result.failures} == {None, 1, 2, 4, 5}
