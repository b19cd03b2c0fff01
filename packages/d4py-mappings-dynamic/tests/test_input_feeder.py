"""Iterables as inputs are read lazily, a bounded number of items ahead of their root."""

import itertools
import threading
import time

import pytest

from d4py_conformance.waiting import LIMIT
from d4py_dynamic.driver.input_feeder import InputFeeder
from d4py_dynamic.store.tasks import ANY, CALLS, Commit
from dispel4py import IterativePE, WorkflowGraph
from dispel4py.engine.planning.plan import make_plan, replicate_stateless
from dispel4py.errors import InputError, ServiceError


class Feeding:
    """A feeder of the root of a graph of one PE, and the worker that has that root."""

    def __init__(self, local_store, given):
        graph = WorkflowGraph()
        graph.add(IterativePE())
        plan = make_plan(graph)
        opened = local_store(plan).open([[(0, 0)]])
        self.driver, (self.worker,) = opened.driver, opened.workers
        self.feeder = InputFeeder(plan.pes[0], given, lambda: self.driver)

    def take(self):
        """Take and commit all queued tasks, and return the data of their calls."""
        leases = self.worker.take(only=[(0, 0)])
        assert all(lease.task[:4] == (CALLS, 0, 0, None) for lease in leases)
        self.worker.commit(Commit(leases=leases))
        return [call["input"] for lease in leases for call in lease.task.payload]


@pytest.fixture
def feed(local_store):
    """Starts to feed an iterable of data."""
    feedings = []

    def start(given):
        feedings.append(Feeding(local_store, ({"input": data} for data in given)))
        feedings[-1].feeder.start()
        return feedings[-1]

    yield start
    for feeding in feedings:
        feeding.feeder.stop()


@pytest.fixture
def counted():
    """Counts what is read of an iterable, and fails if that is too far ahead of what was used."""

    class Counted:
        read = used = 0

        def of(self, values, most_ahead=10_000):
            for value in values:
                self.read += 1
                assert self.read - self.used <= most_ahead
                yield value

    return Counted()


def test_g4_every_call_arrives_once_and_in_order(feed, wait_until):
    feeding = feed(range(5000))
    got = []
    wait_until(lambda: got.extend(feeding.take()) or feeding.feeder.done, "the end")
    while more := feeding.take():
        got += more
    assert got == [*range(5000)]


def test_an_empty_iterable_ends(feed, wait_until):
    feeding = feed([])
    wait_until(lambda: feeding.feeder.done, "the end")
    assert feeding.take() == []


def test_c6_reading_stops_while_the_queue_is_full(feed, counted, wait_until):
    feeding = feed(counted.of(itertools.count()))
    wait_until(lambda: feeding.driver.queue_length(0, 0) == 4, "a full queue")
    time.sleep(0.2)  # in which an unbounded reader would read far ahead
    assert 0 < counted.read < 5000
    assert feeding.driver.queue_length(0, 0) == 4
    # Reading continues as far as the root uses the calls.
    while counted.used < 20_000:
        counted.used += len(feeding.take())
    assert feeding.feeder.error is None


def test_c6_few_large_inputs_are_read_ahead(feed, counted, wait_until):
    feeding = feed(counted.of(b"x" * (1 << 20) for _ in range(1000)))
    wait_until(lambda: feeding.driver.queue_length(0, 0) == 4, "feeding")
    time.sleep(0.2)  # in which an unbounded reader would read far ahead
    assert counted.read < 20


def test_an_iterable_that_blocks_delivers_what_came_before(feed, wait_until):
    go_on = threading.Event()

    def slowly():
        yield from (1, 2, 3)
        go_on.wait(LIMIT)
        yield 4

    feeding = feed(slowly())
    got = []
    wait_until(lambda: got.extend(feeding.take()) or len(got) == 3, "delivery")
    assert not feeding.feeder.done
    go_on.set()
    wait_until(lambda: feeding.feeder.done, "the end")
    assert [*got, *feeding.take()] == [1, 2, 3, 4]


def test_an_error_of_the_iterable_is_reported_after_the_calls_before_it(feed, wait_until):
    def broken():
        yield from (1, 2, 3)
        raise OSError("the disk is gone")

    feeding = feed(broken())
    wait_until(lambda: feeding.feeder.error, "the error")
    assert isinstance(feeding.feeder.error, OSError)
    assert str(feeding.feeder.error) == "the disk is gone"
    assert not feeding.feeder.done
    assert feeding.take() == [1, 2, 3]


def test_a_call_that_is_not_a_dict_is_an_error(local_store, wait_until):
    feeding = Feeding(local_store, iter([{"input": 1}, 2]))
    feeding.feeder.start()
    wait_until(lambda: feeding.feeder.error, "the error")
    feeding.feeder.stop()
    assert isinstance(feeding.feeder.error, InputError)
    assert "input number 1 of IterativePE0 is 2" in str(feeding.feeder.error)


def test_an_error_of_the_store_is_reported(local_store, wait_until):
    feeding = Feeding(local_store, [{"input": 1}] * 5000)
    feeding.driver.feed = lambda *_: (_ for _ in ()).throw(ServiceError("gone"))
    feeding.feeder.start()
    wait_until(lambda: feeding.feeder.error, "the error")
    feeding.feeder.stop()
    assert str(feeding.feeder.error) == "gone"


def test_c4_stop_ends_both_threads_whatever_is_left_to_read(feed, wait_until):
    before = {*threading.enumerate()}
    feeding = feed(itertools.count())
    wait_until(lambda: feeding.driver.queue_length(0, 0) == 4, "feeding")
    started = {*threading.enumerate()} - before
    assert len(started) == 2
    feeding.feeder.stop()
    wait_until(lambda: not any(thread.is_alive() for thread in started), "the threads' end")


def test_c4_stop_does_not_wait_for_an_iterable_that_blocks(feed):
    blocks, go_on, returned = threading.Event(), threading.Event(), []

    def blocked():
        blocks.set()
        returned.append(go_on.wait(LIMIT))
        yield 1

    feeding = feed(blocked())
    assert blocks.wait(LIMIT)
    feeding.feeder.stop()
    assert not returned
    go_on.set()


def test_c4_a_feeder_that_was_not_started_can_be_stopped(local_store):
    Feeding(local_store, [{"input": 1}]).feeder.stop()


class TestSharedCalls:
    """A root whose calls are for any worker."""

    @pytest.fixture
    def feed(self, local_store):
        """Feeds an iterable of data; returns the store with some workers, and the feeder."""
        feeders = []

        def start(given, workers):
            root = IterativePE()
            root.independent_calls = True
            graph = WorkflowGraph()
            graph.add(root)
            plan = replicate_stateless(make_plan(graph))
            opened = local_store(plan).open([[]] * workers)
            calls = ({"input": data} for data in given)
            feeders.append(InputFeeder(plan.pes[0], calls, lambda: opened.driver))
            feeders[-1].start()
            return opened, feeders[-1]

        yield start
        for feeder in feeders:
            feeder.stop()

    def test_d3_every_call_arrives_once_with_its_number(self, feed, wait_until):
        opened, feeder = feed(range(5000), 2)
        got = {}

        def take():
            for worker in opened.workers:
                leases = worker.take(seconds=0.0)
                worker.commit(Commit(leases=leases))
                for lease in leases:
                    assert lease.task[:4] == (CALLS, 0, ANY, None)
                    numbers = range(lease.task.payload.first, lease.task.payload.first + 10**6)
                    data = [call["input"] for call in lease.task.payload]
                    got.update(zip(numbers, data, strict=False))
            return len(got) == 5000

        wait_until(take, "the calls")
        assert got == {number: number for number in range(5000)}
        wait_until(lambda: feeder.done, "the end")

    def test_d3_each_idle_worker_gets_some_calls(self, feed, wait_until):
        opened, _ = feed(range(100), 7)
        wait_until(lambda: opened.driver.load().backlog >= 7, "the calls")

    def test_d3_c6_reading_stops_while_the_queue_is_full(self, feed, counted, wait_until):
        opened, feeder = feed(counted.of(itertools.count()), 1)
        wait_until(lambda: opened.driver.load().backlog >= 4, "a full queue")
        time.sleep(0.2)  # in which an unbounded reader would read far ahead
        assert 0 < counted.read < 5000
        worker = opened.workers[0]
        while counted.used < 20_000:
            leases = worker.take()
            worker.commit(Commit(leases=leases))
            counted.used += sum(len(lease.task.payload) for lease in leases)
        assert feeder.error is None
