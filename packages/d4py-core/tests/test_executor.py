"""The executor by itself: which instances live here, and what waits."""

import pytest
from core_helpers.executors import (
    BATCH,
    Clock,
    Count,
    Each,
    Same,
    Writer,
    call,
    chain,
    make_executor,
)

from dispel4py import IterativePE
from dispel4py.engine.inputs import CallRange


@pytest.fixture
def clock():
    return Clock()


# What lives here and what lives elsewhere


def test_results_go_to_the_result_method():
    executor, handler = make_executor(chain(Count(), Same()))

    call(executor, 3)

    assert handler.results == [1, 2, 3]
    assert handler.sent == []


def test_items_for_instances_elsewhere_are_sent_there():
    elsewhere = Same()
    elsewhere.numprocesses = 2
    executor, handler = make_executor(
        chain(Count(), elsewhere), is_local=lambda pe, instance: pe == 0 or instance == 1
    )

    call(executor, 4)

    assert [(pe, instance, name) for pe, instance, name, _ in handler.sent] == [(1, 0, "input")] * 2
    assert [item for *_, items in handler.sent for item in items] == [1, 3]
    assert handler.results == [2, 4]


def test_receiver_may_move_away_and_come_back():
    here = True
    executor, handler = make_executor(
        chain(Count(), Same()), is_local=lambda pe, instance: here or pe == 0
    )

    call(executor, 2)
    here = False
    call(executor, 2)
    here = True
    call(executor, 2)

    assert handler.results == [1, 2, 5, 6]
    assert [item for *_, items in handler.sent for item in items] == [3, 4]


def test_pushed_items_wait_for_drain():
    executor, handler = make_executor(chain(Count(), Same(), Same()))

    executor.push(1, 0, "input", [7, 8])
    before = list(handler.results)
    executor.drain()

    assert (before, handler.results) == ([], [7, 8])


def test_instance_is_preprocessed_once_before_its_first_item():
    phases = []

    class Noted(Same):
        def preprocess(self):
            phases.append("preprocess")

        def _process(self, data):
            phases.append(data)

    executor, _ = make_executor(chain(Count(), Noted()))
    call(executor, 2)
    executor.start(1, 0)

    assert phases == ["preprocess", 1, 2]


def test_finish_postprocesses_and_runs_what_follows():
    class Sums(IterativePE):
        total = 0

        def _process(self, data):
            self.total += data

        def postprocess(self):
            self.write("output", self.total)

    executor, handler = make_executor(chain(Count(), Sums(), Same()))
    call(executor, 4)
    executor.finish(1, 0)

    assert handler.results == [10]


def test_m3_what_a_late_starter_writes_in_preprocess_goes_before_its_items():
    class Greets(Same):
        def preprocess(self):
            self.write("output", "hello")

    executor, handler = make_executor(chain(Count(), Greets(), Same()))

    call(executor, 2)

    assert handler.results == ["hello", 1, 2]


def test_stats_are_those_of_the_local_instances():
    executor, _ = make_executor(chain(Count(), Same()), is_local=lambda pe, instance: pe == 0)

    call(executor, 3)

    assert [(stats.pe_id, stats.items) for stats in executor.stats] == [("Count0", 3)]


# What waits


def test_between_may_stop_drain_and_what_waits_can_be_taken():
    stops = iter([True, False])
    executor, handler = make_executor(
        chain(Count(), Same(), Same()), on_batch_end=lambda: next(stops, False)
    )
    executor.push(1, 0, "input", [1, 2, 3])

    assert executor.drain() is False
    assert executor.stack.take(lambda pe: pe == 2) == [(1, 0, "input", [2, 3])]
    assert executor.drain() is True
    assert handler.results == [1]


def test_d3_calls_that_wait_are_still_known_by_their_numbers():
    executor, handler = make_executor(chain(Count(), Same()), on_batch_end=lambda: True)
    executor.push(0, 0, None, CallRange(30, 8))
    executor.drain()
    executor.drain()

    assert handler.results == [1]
    ((*where, calls),) = executor.stack.take(lambda pe: False)
    assert where == [0, 0, None]
    assert (calls.first, len(calls)) == (31, 7)


def test_d3_a_root_is_called_for_a_part_of_its_calls_at_a_time(clock):
    executor, handler = make_executor(chain(Count(), Same()), clock=clock)
    left = CallRange(0, 10_000)
    sizes = []
    while left:
        before, left = len(left), executor.call_range(0, 0, left)
        sizes.append(before - len(left))

    assert handler.results == [*range(1, 10_001)]
    assert 1 == sizes[0] <= max(sizes) <= BATCH


def test_what_is_set_aside_is_neither_processed_nor_taken():
    executor, handler = make_executor(chain(Count(), Same()))
    executor.push(1, 0, "input", ["outer"])

    outer_floor = executor.stack.set_aside()
    executor.push(1, 0, "input", ["inner"])
    executor.drain()
    assert handler.results == ["inner"]
    assert executor.stack.take(lambda pe: False) == []
    executor.stack.floor = outer_floor
    executor.drain()

    assert handler.results == ["inner", "outer"]


def test_executor_knows_which_pes_are_in_the_middle_of_a_call():
    seen = []

    def look(data):
        seen.append((executor.in_call, executor.pes_in_call))

    executor, _ = make_executor(chain(Count(), Writer(), Each(look)), one_by_one=True)
    call(executor, 1)

    assert seen == [(True, {1})]
    assert not executor.in_call
