"""`SendBuffers`: when batches are sent, in what order, and when senders should pause."""

from collections import defaultdict, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d4py_fixed.engine.frames import RESULTS
from d4py_fixed.engine.limits import RankLimits
from d4py_fixed.engine.send_buffers import SendBuffers
from dispel4py.engine.limits import EngineLimits
from dispel4py.errors import ProcessingError
from dispel4py.result import Failure

FULL = 10
LIMITS = RankLimits(batch_items=FULL)
WINDOW, RESULTS_WINDOW = LIMITS.window, LIMITS.results_window


class Wire:
    """Records the batches that send buffers send; the clock advances when a test sets it."""

    def __init__(self, shared=None, limits=LIMITS):
        self.batches = []
        self.results = []
        self.bytes = 0
        self.now = 100.0
        self.buffers = SendBuffers(self, shared, limits, lambda: self.now)

    def send_items(self, *batch):
        self.batches.append(batch)
        return self.bytes

    def send_results(self, *results):
        self.results.append(results)


@pytest.fixture
def wire():
    return Wire()


def add(wire, *items, instance=0, name="input"):
    wire.buffers.add_items(1, instance, name, list(items))


def sent(wire):
    """Return the batches that were sent since the last call."""
    batches, wire.batches = wire.batches, []
    return [batch[3] for batch in batches]


def test_a_batch_for_an_idle_receiver_is_sent_at_once(wire):
    add(wire, 1)
    wire.buffers.flush()
    assert wire.batches == [(1, 0, "input", [1])]
    assert not wire.buffers.has_waiting()


def test_a_batch_fills_while_its_receiver_is_busy(wire):
    add(wire, 1)
    wire.buffers.flush()
    for item in (2, 3, 4):
        add(wire, item)
        wire.buffers.flush()
    assert sent(wire) == [[1]]
    wire.buffers.on_credit(1, 0)
    wire.buffers.flush()
    assert sent(wire) == [[2, 3, 4]]


def test_a_full_batch_does_not_wait_for_a_credit(wire):
    add(wire, 1)
    wire.buffers.flush()
    add(wire, *range(FULL))
    wire.buffers.flush()
    assert sent(wire) == [[1], [*range(FULL)]]


def test_a_batch_of_large_items_is_full_with_fewer():
    wire = Wire(limits=RankLimits(batch_bytes=1000))
    add(wire, 1)
    wire.buffers.flush()
    add(wire, b"x" * 2000)
    wire.buffers.flush()
    assert len(sent(wire)) == 2


def test_a_batch_is_sent_some_milliseconds_after_the_last_one(wire):
    add(wire, 1)
    wire.buffers.flush()
    add(wire, 2)
    wire.buffers.flush()
    assert sent(wire) == [[1]]
    wire.now += 0.01
    wire.buffers.flush()
    assert sent(wire) == [[2]]


def test_an_idle_rank_sends_batches_that_are_not_full(wire):
    for item in (1, 2):
        add(wire, item)
        wire.buffers.flush(idle=True)
    assert sent(wire) == [[1], [2]]


@pytest.mark.parametrize("idle", [True, False])
def test_c6_no_more_than_a_window_is_in_flight(wire, idle):
    for _ in range(WINDOW + 5):
        wire.now += 1
        add(wire, *range(FULL))
        wire.buffers.flush(idle=idle)
    assert len(sent(wire)) == WINDOW
    wire.buffers.on_credit(1, 0)
    wire.buffers.flush(idle=idle)
    assert len(sent(wire)) == 1


def test_all_inputs_of_an_instance_share_a_window(wire):
    for name in "abcde":
        add(wire, *range(FULL), name=name)
    add(wire, *range(FULL), instance=1)
    wire.buffers.flush()
    assert [batch[1] for batch in wire.batches] == [0] * WINDOW + [1]


def test_c6_senders_pause_when_two_batches_wait(wire):
    for _ in range(WINDOW):
        add(wire, *range(FULL))
        wire.buffers.flush()
    add(wire, *range(2 * FULL - 1))
    wire.buffers.flush()
    assert wire.buffers.congested_pes() == set()
    add(wire, 1)
    assert wire.buffers.congested_pes() == {1}
    wire.buffers.on_credit(1, 0)
    wire.buffers.flush()
    assert wire.buffers.congested_pes() == set()


def test_c6_inputs_fill_separately(wire):
    for _ in range(WINDOW):
        add(wire, *range(FULL))
        wire.buffers.flush()
    add(wire, *range(2 * FULL - 1), name="a")
    add(wire, *range(2 * FULL - 1), name="b")
    assert wire.buffers.congested_pes() == set()


def test_it_reports_which_receivers_something_waits_for(wire):
    add(wire, 1)
    assert wire.buffers.has_waiting()
    assert wire.buffers.has_waiting({1, 2})
    assert not wire.buffers.has_waiting({2})
    assert not wire.buffers.has_waiting(())
    wire.buffers.flush()
    wire.buffers.add_results("A0", "output", [1])
    assert wire.buffers.has_waiting()
    assert not wire.buffers.has_waiting({1})


@pytest.mark.parametrize("idle", [True, False])
def test_c6_results_have_a_window_of_their_own(wire, idle):
    for _ in range(RESULTS_WINDOW + 2):
        wire.now += 1
        wire.buffers.add_results("A0", "output", list(range(FULL)))
        wire.buffers.flush(idle=idle)
    assert len(wire.results) == RESULTS_WINDOW
    assert wire.buffers.are_results_congested
    wire.buffers.on_credit(RESULTS, 0)
    wire.buffers.flush(idle=idle)
    assert not wire.buffers.are_results_congested
    assert wire.results[-1] == ([("A0", "output", [*range(FULL), *range(FULL)])], [])


def test_c3_failures_are_sent_with_results_or_alone(wire):
    failure = Failure(ProcessingError("A0", 0, "process", "1", "ValueError"), 1)
    wire.buffers.add_failure(failure)
    assert wire.buffers.has_waiting()
    wire.buffers.flush()
    assert wire.results == [([], [failure])]
    assert not wire.buffers.has_waiting()


class TestShared:
    """Items that either of two instances may have."""

    @pytest.fixture
    def wire(self):
        return Wire({(1, "input"): [0, 1]})

    @pytest.fixture
    def busy(self, wire):
        """Two busy instances, one of which grants a credit after some seconds."""

        def deal(seconds):
            for instance in (0, 1):
                add(wire, -1, instance=instance)
            wire.buffers.flush()
            assert sent(wire) == [[-1], [-1]]
            wire.now += seconds
            wire.buffers.on_credit(1, 0)

        return deal

    def test_a_fast_instance_gets_large_batches(self, wire, busy):
        busy(0.001)
        add(wire, *range(32))
        wire.buffers.flush()
        assert sent(wire)[0] == [*range(8)]

    def test_a_slow_instance_gets_single_items_and_others_the_rest(self, wire, busy):
        busy(0.3)
        add(wire, *range(60))
        wire.buffers.flush()
        assert sent(wire) == [[0], [1], [2]]
        wire.buffers.on_credit(1, 1)
        wire.buffers.flush()
        assert sent(wire) == [[31], [32], [33]]

    def test_batches_are_short_when_little_is_left(self, wire, busy):
        busy(0.001)
        add(wire, *range(8))
        wire.buffers.flush(idle=True)
        assert sent(wire) == [[0, 1], [2, 3], [4]]

    def test_nothing_is_moved_away_from_an_idle_instance(self, wire):
        add(wire, 1, 2)
        wire.buffers.flush()
        assert [(batch[1], batch[3]) for batch in wire.batches] == [(0, [1]), (0, [2])]

    def test_other_inputs_are_not_shared(self, wire, busy):
        busy(0.3)
        add(wire, *range(60), name="other")
        wire.buffers.on_credit(1, 1)
        wire.buffers.flush()
        assert [batch[1:] for batch in wire.batches] == [(0, "other", [*range(60)])]


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"), st.integers(1, 2), st.integers(0, 1), st.sampled_from("ab"),
            st.integers(1, 2 * FULL),
        ),
        st.tuples(st.just("credit"), st.integers(0, 99)),
        st.tuples(st.just("flush"), st.booleans(), st.floats(0, 0.02)),
    ),
    max_size=60,
)  # fmt: skip


@given(STEPS, st.booleans())
def test_m3_no_item_is_lost_or_overtaken_in_any_sequence_of_steps(steps, shares):
    wire = Wire({(1, "a"): [0, 1]} if shares else None)
    added, numbers = defaultdict(list), iter(range(10**6))
    in_flight = deque()
    arrived = defaultdict(list)

    def deliver():
        for pe, instance, name, items in wire.batches:
            arrived[pe, instance, name] += items
            in_flight.append((pe, instance))
        wire.batches.clear()
        assert all(in_flight.count(receiver) <= WINDOW for receiver in in_flight)

    for step in steps:
        match step:
            case ("add", pe, instance, name, count):
                items = [next(numbers) for _ in range(count)]
                added[pe, instance, name] += items
                wire.buffers.add_items(pe, instance, name, items)
            case ("credit", which) if in_flight:
                in_flight.rotate(-(which % len(in_flight)))
                wire.buffers.on_credit(*in_flight.popleft())
            case ("flush", idle, seconds):
                wire.now += seconds
                wire.buffers.flush(idle=idle)
                deliver()
    while wire.buffers.has_waiting():
        while in_flight:
            wire.buffers.on_credit(*in_flight.popleft())
        wire.buffers.flush()
        deliver()
    if shares:
        for instance in (0, 1):
            assert arrived[1, instance, "a"] == sorted(arrived[1, instance, "a"])
        either = [sorted(of[1, 0, "a"] + of[1, 1, "a"]) for of in (arrived, added)]
        assert either[0] == either[1]
        arrived = {key: items for key, items in arrived.items() if key[0::2] != (1, "a")}
        added = {key: items for key, items in added.items() if key[0::2] != (1, "a")}
    assert arrived == added


def test_c6_known_sizes_fill_a_batch(wire):
    add(wire, 1)
    wire.buffers.flush()
    wire.buffers.add_items(1, 0, "input", [2], EngineLimits().batch_bytes)
    assert not wire.buffers.congested_pes()
    wire.buffers.add_items(1, 0, "input", [3], EngineLimits().batch_bytes)
    assert wire.buffers.congested_pes() == {1}
    wire.buffers.add_results("A0", "output", [1], 2 * EngineLimits().batch_bytes)
    assert wire.buffers.are_results_congested


def test_c6_the_last_batch_shows_which_receiver_gets_the_large_items(wire):
    wire.bytes = EngineLimits().batch_bytes
    add(wire, 1)
    add(wire, 1, instance=1)
    wire.buffers.flush()
    wire.bytes = 100
    wire.buffers.add_items(1, 0, "input", [2, 3], 2 * 40)  # an estimate from the average
    assert wire.buffers.congested_pes() == {1}
    wire.buffers.on_credit(1, 0)
    wire.buffers.flush()
    wire.buffers.add_items(1, 0, "input", [4, 5], 2 * 40)  # small ones again
    assert not wire.buffers.congested_pes()
