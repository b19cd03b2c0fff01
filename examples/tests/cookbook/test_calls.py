"""Calls are made in time, again, and at the same time."""

import asyncio
import threading
import time

import pytest

from d4py_examples.cookbook.calls import AsyncCalls, RateLimit, Retry, RetryLimits
from dispel4py.testing import feed

AT_ONCE = RetryLimits(attempts=3, first_seconds=0.0)


def test_items_do_not_pass_faster_than_the_rate():
    begin = time.monotonic()
    assert feed(RateLimit(per_second=50), range(6))["output"] == list(range(6))
    assert time.monotonic() - begin >= 5 / 50


def test_a_time_of_another_clock_is_not_waited_for(monkeypatch):
    limit = RateLimit(per_second=2)
    limit.next_time = time.monotonic() + 1e6
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    assert limit._process("item") == "item"
    assert waits == [0.5]


class Flaky:
    """Fails some times, then answers."""

    def __init__(self, failures, error=ConnectionError):
        self.failures = failures
        self.error = error
        self.calls = 0

    def __call__(self, item):
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error(f"call {self.calls}")
        return item, self.calls


def test_a_failed_call_is_made_again():
    assert Retry(Flaky(2), AT_ONCE)._process("item") == ("item", 3)


def test_the_last_error_is_raised():
    with pytest.raises(ConnectionError, match="call 3"):
        feed(Retry(Flaky(9), AT_ONCE), ["item"])


def test_an_error_of_another_kind_is_raised_at_once():
    with pytest.raises(ValueError, match="call 1"):
        feed(Retry(Flaky(9, ValueError), AT_ONCE), ["item"])


def test_waits_double_up_to_the_longest(monkeypatch):
    """Full jitter: the random numbers are drawn up to these limits."""
    limits = []
    monkeypatch.setattr("random.uniform", lambda low, high: limits.append(high) or 0.0)
    retry = Retry(Flaky(4), RetryLimits(first_seconds=1.0, longest_seconds=4.0))
    assert retry._process("item") == ("item", 5)
    assert limits == [1.0, 2.0, 4.0, 4.0]


class Meeting:
    """Answers when as many calls wait as are expected; counts the most that waited."""

    def __init__(self, expected):
        self.expected = expected
        self.waiting = 0
        self.most = 0

    async def __call__(self, item):
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        while self.most < self.expected:
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # here more could come, if they were allowed to
        self.waiting -= 1
        return item, self.most


def test_calls_wait_together_and_no_more_than_allowed():
    answers = feed(AsyncCalls(Meeting(4), at_once=4, batch_seconds=60.0), range(10))["output"]
    assert [item for item, _ in answers] == list(range(10))
    assert {most for _, most in answers} == {4}


async def fail(item):
    raise OSError(f"no answer for {item}")


def test_an_error_of_a_call_is_raised():
    with pytest.raises(OSError, match="no answer for 7"):
        feed(AsyncCalls(fail), [7])


def test_calls_are_made_where_an_event_loop_runs():
    """As in the cells of a notebook."""

    async def cell():
        return feed(AsyncCalls(Meeting(1)), [1])["output"]

    others = {*threading.enumerate()}  # of other tests
    assert asyncio.run(cell()) == [(1, 1)]
    assert {*threading.enumerate()} <= others
