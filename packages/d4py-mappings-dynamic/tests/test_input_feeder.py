"""Iterables as inputs are read lazily, a little ahead of the root that uses them."""

import itertools
import threading
import time

import pytest

from d4py_dynamic.driver.input_feeder import InputFeeder
from d4py_dynamic.store.tasks import ANY, CALLS, Commit
from dispel4py import IterativePE, WorkflowGraph
from dispel4py.engine.plan import make_plan, replicate_stateless
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
        """The calls that are there, as data; their tasks are done then."""
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
    """An iterator that can tell how much was read of it."""

    class Counted:
        read = 0

        def of(self, values):
            for value in values:
                self.read += 1
                yield value

    return Counted()


def test_g4_every_call_arrives_once_and_in_order(feed, wait_until):
    feeding = feed(range(5000))
    got = []
    wait_until(lambda: got.extend(feeding.take()) or feeding.feeder.done, "the end")
    while more := feeding.take():
        got += more
    assert got == [*range(5000)]


def test_nothing_at_all_is_an_end_too(feed, wait_until):
    feeding = feed([])
    wait_until(lambda: feeding.feeder.done, "the end")
    assert feeding.take() == []


def test_c6_no_more_is_read_than_a_little_ahead(feed, counted, wait_until):
    feeding = feed(counted.of(itertools.count()))
    before = -1
    until = time.monotonic() + 1
    while counted.read != before or time.monotonic() < until:
        if counted.read != before:
            before, until = counted.read, time.monotonic() + 0.3
        time.sleep(0.01)
    assert 0 < before < 5000
    assert feeding.driver.queue_length(0, 0) <= 4
    # It goes on as far as the root uses it up.
    used = 0
    wait_until(lambda: counted.read > 20_000 or feeding.take(), "reading on")
    while used < 20_000:
        used += len(feeding.take())
    assert used <= counted.read < used + 10_000


def test_c6_of_large_inputs_only_a_few_are_read_ahead(feed, counted, wait_until):
    feeding = feed(counted.of(b"x" * (1 << 20) for _ in range(1000)))
    wait_until(lambda: feeding.driver.queue_length(0, 0) == 4, "feeding")
    time.sleep(0.2)  # so that it would have read on
    assert counted.read < 20


def test_an_iterable_that_blocks_delivers_what_it_has(feed, wait_until):
    go_on = threading.Event()

    def slowly():
        yield from (1, 2, 3)
        go_on.wait(20)
        yield 4

    feeding = feed(slowly())
    got = []
    wait_until(lambda: got.extend(feeding.take()) or len(got) == 3, "delivery")
    assert not feeding.feeder.done
    go_on.set()
    wait_until(lambda: feeding.feeder.done, "the end")
    assert [*got, *feeding.take()] == [1, 2, 3, 4]


def test_an_error_of_the_iterable_comes_out_after_what_was_before_it(feed, wait_until):
    def broken():
        yield from (1, 2, 3)
        raise OSError("the disk is gone")

    feeding = feed(broken())
    wait_until(lambda: feeding.feeder.error, "the error")
    assert isinstance(feeding.feeder.error, OSError)
    assert str(feeding.feeder.error) == "the disk is gone"
    assert not feeding.feeder.done
    assert feeding.take() == [1, 2, 3]


def test_a_call_that_is_no_dict_is_an_error(local_store, wait_until):
    feeding = Feeding(local_store, iter([{"input": 1}, 2]))
    feeding.feeder.start()
    wait_until(lambda: feeding.feeder.error, "the error")
    feeding.feeder.stop()
    assert isinstance(feeding.feeder.error, InputError)
    assert "input number 1 of IterativePE0 is 2" in str(feeding.feeder.error)


def test_an_error_of_the_store_comes_out(local_store, wait_until):
    feeding = Feeding(local_store, [{"input": 1}] * 5000)
    feeding.driver.queue_length = lambda *_: (_ for _ in ()).throw(ServiceError("gone"))
    feeding.feeder.start()
    wait_until(lambda: feeding.feeder.error, "the error")
    feeding.feeder.stop()
    assert str(feeding.feeder.error) == "gone"


def test_c4_stopping_ends_its_threads_however_much_is_left(feed, wait_until):
    before = {*threading.enumerate()}
    feeding = feed(itertools.count())
    wait_until(lambda: feeding.driver.queue_length(0, 0) == 4, "feeding")
    own = {*threading.enumerate()} - before
    assert len(own) == 2
    feeding.feeder.stop()
    wait_until(lambda: not any(thread.is_alive() for thread in own), "the threads' end")


def test_c4_stopping_does_not_wait_for_an_iterable_that_blocks(feed, wait_until):
    go_on = threading.Event()

    def blocked():
        go_on.wait(20)
        yield 1

    feeding = feed(blocked())
    started_at = time.monotonic()
    feeding.feeder.stop()
    assert time.monotonic() - started_at < 1
    go_on.set()


def test_c4_one_that_was_not_started_can_be_stopped(local_store):
    Feeding(local_store, [{"input": 1}]).feeder.stop()


class TestSharedCalls:
    """A root whose calls are for any worker."""

    @pytest.fixture
    def feed(self, local_store):
        """Feeds an iterable of data; the store is given back, with as many workers as asked for."""
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

    def test_d3_there_is_some_for_each_worker_that_waits(self, feed, wait_until):
        opened, _ = feed(range(100), 7)
        wait_until(lambda: opened.driver.load().backlog >= 7, "the calls")

    def test_d3_c6_no_more_is_read_than_a_little_ahead(self, feed, counted, wait_until):
        opened, _ = feed(counted.of(itertools.count()), 1)
        before = -1
        until = time.monotonic() + 1
        while counted.read != before or time.monotonic() < until:
            if counted.read != before:
                before, until = counted.read, time.monotonic() + 0.3
            time.sleep(0.01)
        assert 0 < before < 5000
        worker, used = opened.workers[0], 0
        while used < 20_000:
            leases = worker.take()
            worker.commit(Commit(leases=leases))
            used += sum(len(lease.task.payload) for lease in leases)
        assert used <= counted.read < used + 10_000
