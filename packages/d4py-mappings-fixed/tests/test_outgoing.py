"""What waits to be sent: when it leaves, in what order, and when senders should pause."""

from collections import defaultdict, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d4py_fixed.engine import send_buffers as outgoing_module
from d4py_fixed.engine.frames import RESULTS
from d4py_fixed.engine.send_buffers import RESULTS_WINDOW, WINDOW, SendBuffers
from dispel4py.engine.limits import EngineLimits
from dispel4py.errors import ProcessingError
from dispel4py.result import Failure

FULL = 10


class Wire:
    """Takes down what is sent."""

    def __init__(self, shared=None):
        self.batches = []
        self.results = []
        self.bytes = 0
        self.outgoing = SendBuffers(
            lambda *batch: self.batches.append(batch) or self.bytes,
            lambda *results: self.results.append(results),
            shared,
        )


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Stands still unless a test moves it."""
    now = [100.0]
    monkeypatch.setattr(outgoing_module, "monotonic", lambda: now[0])
    monkeypatch.setattr(outgoing_module, "_FULL_ITEMS", FULL)
    return now


@pytest.fixture
def wire():
    return Wire()


def add(wire, *items, instance=0, name="input"):
    wire.outgoing.add_items(1, instance, name, list(items))


def sent(wire):
    """What was sent since the last look."""
    batches, wire.batches = wire.batches, []
    return [batch[3] for batch in batches]


def test_an_idle_receiver_gets_what_there_is_at_once(wire):
    add(wire, 1)
    wire.outgoing.flush()
    assert wire.batches == [(1, 0, "input", [1])]
    assert not wire.outgoing.waits()


def test_a_batch_fills_while_its_receiver_is_busy(wire):
    add(wire, 1)
    wire.outgoing.flush()
    for item in (2, 3, 4):
        add(wire, item)
        wire.outgoing.flush()
    assert sent(wire) == [[1]]
    wire.outgoing.answered(1, 0)
    wire.outgoing.flush()
    assert sent(wire) == [[2, 3, 4]]


def test_a_full_batch_does_not_wait_for_an_answer(wire):
    add(wire, 1)
    wire.outgoing.flush()
    add(wire, *range(FULL))
    wire.outgoing.flush()
    assert sent(wire) == [[1], [*range(FULL)]]


def test_a_batch_of_large_items_is_full_early(wire, monkeypatch):
    monkeypatch.setattr(outgoing_module, "_FULL_BYTES", 1000)
    add(wire, 1)
    wire.outgoing.flush()
    add(wire, b"x" * 2000)
    wire.outgoing.flush()
    assert len(sent(wire)) == 2


def test_what_comes_long_after_the_last_batch_is_not_held_back(wire, clock):
    add(wire, 1)
    wire.outgoing.flush()
    add(wire, 2)
    wire.outgoing.flush()
    assert sent(wire) == [[1]]
    clock[0] += 0.01
    wire.outgoing.flush()
    assert sent(wire) == [[2]]


def test_a_rank_with_nothing_to_do_sends_what_it_has(wire):
    for item in (1, 2):
        add(wire, item)
        wire.outgoing.flush(idle=True)
    assert sent(wire) == [[1], [2]]


@pytest.mark.parametrize("idle", [True, False])
def test_c6_no_more_than_a_window_is_on_its_way(wire, clock, idle):
    for _ in range(WINDOW + 5):
        clock[0] += 1
        add(wire, *range(FULL))
        wire.outgoing.flush(idle=idle)
    assert len(sent(wire)) == WINDOW
    wire.outgoing.answered(1, 0)
    wire.outgoing.flush(idle=idle)
    assert len(sent(wire)) == 1


def test_a_window_is_an_instances_whatever_the_input(wire):
    for name in "abcde":
        add(wire, *range(FULL), name=name)
    add(wire, *range(FULL), instance=1)
    wire.outgoing.flush()
    assert [batch[1] for batch in wire.batches] == [0] * WINDOW + [1]


def test_c6_senders_pause_when_two_batches_wait(wire):
    for _ in range(WINDOW):
        add(wire, *range(FULL))
        wire.outgoing.flush()
    add(wire, *range(2 * FULL - 1))
    wire.outgoing.flush()
    assert wire.outgoing.overfull() == set()
    add(wire, 1)
    assert wire.outgoing.overfull() == {1}
    wire.outgoing.answered(1, 0)
    wire.outgoing.flush()
    assert wire.outgoing.overfull() == set()


def test_what_fills_one_input_does_not_count_for_another(wire):
    for _ in range(WINDOW):
        add(wire, *range(FULL))
        wire.outgoing.flush()
    add(wire, *range(2 * FULL - 1), name="a")
    add(wire, *range(2 * FULL - 1), name="b")
    assert wire.outgoing.overfull() == set()


def test_it_tells_for_whom_something_waits(wire):
    add(wire, 1)
    assert wire.outgoing.waits()
    assert wire.outgoing.waits({1, 2})
    assert not wire.outgoing.waits({2})
    assert not wire.outgoing.waits(())
    wire.outgoing.flush()
    wire.outgoing.add_results("A0", "output", [1])
    assert wire.outgoing.waits()
    assert not wire.outgoing.waits({1})


@pytest.mark.parametrize("idle", [True, False])
def test_c6_results_have_a_window_of_their_own(wire, clock, idle):
    for _ in range(RESULTS_WINDOW + 2):
        clock[0] += 1
        wire.outgoing.add_results("A0", "output", list(range(FULL)))
        wire.outgoing.flush(idle=idle)
    assert len(wire.results) == RESULTS_WINDOW
    assert wire.outgoing.results_overfull
    wire.outgoing.answered(RESULTS, 0)
    wire.outgoing.flush(idle=idle)
    assert not wire.outgoing.results_overfull
    assert wire.results[-1] == ([("A0", "output", [*range(FULL), *range(FULL)])], [])


def test_c3_failures_travel_with_results_or_alone(wire):
    failure = Failure(ProcessingError("A0", 0, "process", "1", "ValueError"), 1)
    wire.outgoing.add_failure(failure)
    assert wire.outgoing.waits()
    wire.outgoing.flush()
    assert wire.results == [([], [failure])]
    assert not wire.outgoing.waits()


class TestShared:
    """Items that either of two instances may have."""

    @pytest.fixture
    def wire(self):
        return Wire({(1, "input"): [0, 1]})

    @pytest.fixture
    def busy(self, wire, clock):
        """Two instances that have an item each, and one that answered after some seconds."""

        def deal(seconds):
            for instance in (0, 1):
                add(wire, -1, instance=instance)
            wire.outgoing.flush()
            assert sent(wire) == [[-1], [-1]]
            clock[0] += seconds
            wire.outgoing.answered(1, 0)

        return deal

    def test_a_fast_instance_gets_many_at_once(self, wire, busy):
        busy(0.001)
        add(wire, *range(60))
        wire.outgoing.flush()
        assert sent(wire)[0] == [*range(15)]

    def test_a_slow_one_gets_them_one_by_one_and_others_have_the_rest(self, wire, busy):
        busy(0.3)
        add(wire, *range(60))
        wire.outgoing.flush()
        assert sent(wire) == [[0], [1], [2]]
        wire.outgoing.answered(1, 1)
        wire.outgoing.flush()
        assert sent(wire) == [[31], [32], [33]]

    def test_batches_are_short_when_little_is_left(self, wire, busy):
        busy(0.001)
        add(wire, *range(8))
        wire.outgoing.flush(idle=True)
        assert sent(wire) == [[0, 1], [2, 3], [4]]

    def test_nothing_is_taken_from_one_that_is_not_busy(self, wire):
        add(wire, 1, 2)
        wire.outgoing.flush()
        assert [(batch[1], batch[3]) for batch in wire.batches] == [(0, [1]), (0, [2])]

    def test_other_inputs_are_not_shared(self, wire, busy):
        busy(0.3)
        add(wire, *range(60), name="other")
        wire.outgoing.answered(1, 1)
        wire.outgoing.flush()
        assert [batch[1:] for batch in wire.batches] == [(0, "other", [*range(60)])]


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"), st.integers(1, 2), st.integers(0, 1), st.sampled_from("ab"),
            st.integers(1, 2 * FULL),
        ),
        st.tuples(st.just("answer"), st.integers(0, 99)),
        st.tuples(st.just("flush"), st.booleans(), st.floats(0, 0.02)),
    ),
    max_size=60,
)  # fmt: skip


@given(STEPS, st.booleans())
def test_m3_whatever_happens_nothing_is_lost_or_overtakes(steps, shares):
    now = 0.0
    wire = Wire({(1, "a"): [0, 1]} if shares else None)
    added, numbers = defaultdict(list), iter(range(10**6))
    unanswered = deque()
    arrived = defaultdict(list)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outgoing_module, "monotonic", lambda: now)

        def deliver():
            for pe, instance, name, items in wire.batches:
                arrived[pe, instance, name] += items
                unanswered.append((pe, instance))
            wire.batches.clear()
            assert all(unanswered.count(receiver) <= WINDOW for receiver in unanswered)

        for step in steps:
            match step:
                case ("add", pe, instance, name, count):
                    items = [next(numbers) for _ in range(count)]
                    added[pe, instance, name] += items
                    wire.outgoing.add_items(pe, instance, name, items)
                case ("answer", which) if unanswered:
                    unanswered.rotate(-(which % len(unanswered)))
                    wire.outgoing.answered(*unanswered.popleft())
                case ("flush", idle, seconds):
                    now += seconds
                    wire.outgoing.flush(idle=idle)
                    deliver()
        while wire.outgoing.waits():
            while unanswered:
                wire.outgoing.answered(*unanswered.popleft())
            wire.outgoing.flush()
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
    wire.outgoing.flush()
    wire.outgoing.add_items(1, 0, "input", [2], EngineLimits().batch_bytes)
    assert not wire.outgoing.overfull()
    wire.outgoing.add_items(1, 0, "input", [3], EngineLimits().batch_bytes)
    assert wire.outgoing.overfull() == {1}
    wire.outgoing.add_results("A0", "output", [1], 2 * EngineLimits().batch_bytes)
    assert wire.outgoing.results_overfull


def test_c6_what_was_sent_shows_who_gets_the_large_items(wire):
    wire.bytes = EngineLimits().batch_bytes
    add(wire, 1)
    add(wire, 1, instance=1)
    wire.outgoing.flush()
    wire.bytes = 100
    wire.outgoing.add_items(1, 0, "input", [2, 3], 2 * 40)  # as the average says
    assert wire.outgoing.overfull() == {1}
    wire.outgoing.answered(1, 0)
    wire.outgoing.flush()
    wire.outgoing.add_items(1, 0, "input", [4, 5], 2 * 40)  # small ones again
    assert not wire.outgoing.overfull()
