"""An item that takes long: what waits behind it in its worker goes to others in the meantime."""

import threading
from dataclasses import replace
from time import monotonic, sleep
from typing import ClassVar

import pytest

from d4py_conformance.pes.common import Relay
from d4py_conformance.suite import chain
from d4py_conformance.waiting import LIMIT
from d4py_dynamic.store.tasks import ANY, CALLS, ITEMS, Task
from d4py_dynamic.worker.limits import WorkerLimits
from d4py_dynamic.worker.loop import Worker
from dispel4py import IterativePE
from dispel4py.base import ProducerPE
from dispel4py.engine.inputs import CallRange
from dispel4py.engine.planning.plan import make_plan, replicate_stateless
from dispel4py.errors import ServiceError

LONG = "long"


class Gate:
    """Says that a long call was begun, and lets it end."""

    begun, opened = threading.Event(), threading.Event()

    @classmethod
    def close(cls):
        cls.begun, cls.opened = threading.Event(), threading.Event()


class Root(ProducerPE):
    def _process(self, inputs):
        return None


class Held(IterativePE):
    """Takes long over one item, and writes twice per item, once in mid-call."""

    def _process(self, data):
        self.write("output", data)
        if data == LONG:
            Gate.begun.set()
            assert Gate.opened.wait(LIMIT)
        return data


class HeldRoot(ProducerPE):
    """The same as a root whose calls are independent, and which changes what it is called with."""

    independent_calls = True

    def _process(self, inputs):
        return Held._process(self, inputs.pop("item"))


class Office:
    """A store with one task in it, and workers that are threads.

    Attributes:
        early: how many items of the long call have come out before it has ended: what it has
            written may be committed while it lasts, on a slow machine even before all others.
    """

    def __init__(self, opened, plan):
        limits = plan.limits._replace(linger_seconds=2 * LIMIT)
        self.opened, self.plan = opened, replace(plan, limits=limits)
        self.limits = WorkerLimits()
        self.driver = opened.driver
        self.driver.unfinished([1, 2])
        self.threads, self.errors, self.early = [], {}, 0
        self.has_calls = plan.pes[0].has_independent_calls

    def put(self, items):
        task = Task(ITEMS, 1, ANY, "input", items)
        if self.has_calls:
            task = Task(CALLS, 0, ANY, None, CallRange(7, [{"item": item} for item in items]))
        self.driver.put([task])

    def items_of(self, lease):
        """What is left of a lease."""
        left = lease.task.payload[lease.position.done :]
        return [call["item"] for call in left] if self.has_calls else left

    def work(self, rank, on_error="stop"):
        thread = threading.Thread(target=self._serve, args=(rank, on_error), daemon=True)
        self.threads.append(thread)
        thread.start()

    def _serve(self, rank, on_error):
        try:
            Worker(
                *(self.plan, self.opened.workers[rank], rank, on_error), limits=self.limits
            ).serve()
        except ServiceError as error:
            self.errors[rank] = error

    def results(self, enough):
        """What comes out, until it is enough."""
        found, failures = [], []
        until = monotonic() + LIMIT
        while not enough(found):
            assert monotonic() < until, f"nothing happens any more after {found}"
            for event in self.driver.events(1.0):
                for _, _, items in getattr(event, "results", ()):
                    found += items
                failures += getattr(event, "failures", ())
        self.failures = failures
        return sorted(found, key=str)

    def results_of_others(self, count):
        """What comes out but for the long call, until it is so many.

        What the call returns cannot be among it.
        """
        found = self.results(lambda found: len(found) - found.count(LONG) >= count)
        self.early = found.count(LONG)
        assert self.early <= 1
        return [item for item in found if item != LONG]

    def results_of_long(self, count):
        """What comes of the long call in all, until it is so many."""
        early = [LONG] * self.early
        return early + self.results(lambda found: self.early + len(found) >= count)

    def close(self):
        Gate.opened.set()
        self.driver.delete()
        for thread in self.threads:
            thread.join(LIMIT)


@pytest.fixture(params=["table", "redis"])
def store_kind(request):
    return request.param


@pytest.fixture(params=[(Root, Held), (HeldRoot, Relay)], ids=["items", "calls"])
def office(request, store_kind):
    """See `Office`; two workers."""
    root, held = request.param
    plan = replicate_stateless(make_plan(chain(root(), held(), Relay())))
    if store_kind == "table":
        opened = request.getfixturevalue("local_store")(plan).open([(), ()])
    else:
        server = request.getfixturevalue("server")
        opened = request.getfixturevalue("open_redis_store")(server, plan, [(), ()])
    Gate.close()
    made = Office(opened, plan)
    yield made
    made.close()


def twice(items):
    return sorted([*items, *items], key=str)


@pytest.mark.parametrize("at", [0, 3, 5, 199])
def test_all_others_come_out_while_one_takes_long(office, at):
    """Given a task of 200 items; one of them ends only when all others have come out."""
    items = [*range(200)]
    items[at] = LONG
    others = [item for item in items if item != LONG]
    office.put(items)
    for rank in (0, 1):
        office.work(rank)
    assert office.results_of_others(2 * len(others)) == twice(others)
    Gate.opened.set()
    assert office.results_of_long(2) == [LONG, LONG]
    assert set(office.driver.unfinished([]).values()) == {0}


@pytest.mark.parametrize("is_lost", [False, True])
def test_c5_output_of_a_call_that_cannot_be_split_is_committed_while_it_lasts(office, is_lost):
    """A call that has sent some of its output stays where it is; what it has sent does not.

    If its worker is lost then, the call is repeated, and sends the rest.
    """
    office.plan = replace(office.plan, limits=office.plan.limits._replace(linger_seconds=0.0))
    office.limits = WorkerLimits(load_seconds=2 * LIMIT)  # no look is due in mid-call
    items = [*range(20), LONG]
    office.put(items)
    office.work(0)
    assert Gate.begun.wait(LIMIT)
    office.work(1)  # processes what follows
    found = office.results(lambda found: len(found) > 2 * len(items) - 2)
    assert found == [*twice(range(20)), LONG]
    if is_lost:
        office.driver.evict(0, [])
    Gate.opened.set()
    assert office.results(bool) == [LONG]
    assert set(office.driver.unfinished([]).values()) == {0}


class Counts(IterativePE):
    """Writes numbers in one call, each of them long after the one before."""

    def _process(self, data):
        for number in range(20):
            self.write("output", number)
            sleep(0.004)


class InOrder(Relay):
    """Notes what it gets, in this order."""

    got: ClassVar[list[int]] = []

    def _process(self, data):
        self.got.append(data)
        return data


def test_output_of_a_call_further_down_is_processed_as_it_is_written(local_store):
    """Such a call cannot be repeated, so nothing of it is collected for a commit while it lasts."""
    InOrder.got = []
    plan = replicate_stateless(make_plan(chain(Root(), Relay(), Counts(), InOrder())))
    office = Office(local_store(plan).open([()]), plan)
    office.limits = WorkerLimits(load_seconds=2 * LIMIT, commit_seconds=0.0, preempt_seconds=0.001)
    office.put([1])
    office.work(0)
    office.results(lambda found: len(found) >= 20)
    office.close()
    assert InOrder.got == [*range(20)]


@pytest.mark.parametrize("at", [0, 3, 199])
def test_c5_its_worker_is_lost_and_only_that_item_is_done_again(office, at):
    items = [*range(200)]
    items[at] = LONG
    office.put(items)
    office.work(0)
    assert Gate.begun.wait(LIMIT)
    office.work(1)
    others = office.results_of_others(2 * len(items) - 2)
    lost = office.driver.evict(0, [])
    assert [office.items_of(lease) for lease in lost.leases] == [[LONG]]
    Gate.opened.set()
    assert office.results_of_long(2) == [LONG, LONG]
    office.threads[0].join(LIMIT)
    assert set(office.errors) == {0}
    assert sorted([*others, LONG, LONG], key=str) == twice(items)
    assert set(office.driver.unfinished([]).values()) == {0}


@pytest.fixture
def small_office(local_store):
    """The same without what follows; makes it for a PE."""
    made = []

    def make(held):
        plan = replicate_stateless(make_plan(chain(Root(), held)))
        made.append(Office(local_store(plan).open([(), ()]), plan))
        return made[-1]

    Gate.close()
    yield make
    for office in made:
        office.close()


class Returns(IterativePE):
    """Takes long over one item, and sends nothing in mid-call."""

    def _process(self, data):
        if data == LONG:
            assert Gate.opened.wait(LIMIT)
        return data


@pytest.mark.parametrize(("pe", "each"), [(Held, 2), (Returns, 1)])
def test_results_do_not_wait_for_it_though_no_worker_is_idle(small_office, pe, each):
    """Given a batch with something before it, and nothing else that waits to be sent."""
    office = small_office(pe())
    office.put([*range(16)])
    office.put([*range(16, 20), LONG])
    office.work(0)
    expected = sorted([*range(20)] * each, key=str)
    assert office.results_of_others(len(expected)) == expected
    assert office.early < each


class Spoils(IterativePE):
    """Changes the items that it gets."""

    def _process(self, data):
        number = data.pop("number")
        if number == LONG:
            Gate.begun.set()
            assert Gate.opened.wait(LIMIT)
        return number


def test_c5_a_task_that_is_done_again_is_as_it_was_sent(small_office):
    office = small_office(Spoils())
    numbers = [*range(20), LONG, *range(20, 40)]
    office.put([{"number": number} for number in numbers])
    office.work(0)
    assert Gate.begun.wait(LIMIT)
    office.work(1)
    others = office.results(lambda found: len(found) >= 40)
    office.driver.evict(0, [])
    Gate.opened.set()
    assert office.results(lambda found: found) == [LONG]
    assert others == sorted(range(40), key=str)


class Fails(Held):
    """Fails at an item, which is skipped, and takes long over the next."""

    def _process(self, data):
        if data == "bad":
            raise ValueError(data)
        return Held._process(self, data)


def test_c3_what_was_skipped_before_it_in_the_same_batch_is_listed_once(small_office):
    office = small_office(Fails())
    items = [0, 1, 2, 3, "bad", LONG, 6, 7]
    office.put(items)
    for rank in (0, 1):
        office.work(rank, "skip")
    assert Gate.begun.wait(LIMIT)
    office.driver.evict(0, [])
    office.driver.evict(1, [])
    Gate.opened.set()
    for thread in office.threads:
        thread.join(LIMIT)
    office.opened.join()
    office.work(2, "skip")
    done = [item for item in items if item != "bad"]
    failures = []
    found = office.results(lambda found: len(found) >= 2 * len(done))
    failures += office.failures
    assert found == twice(done)
    assert [failure.item for failure in failures] == ["bad"]
