"""Instances of a PE in one process: they are called in the order of the items, in one loop."""

import os
import random
import sys
import threading
from collections import Counter, defaultdict
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispel4py import ConsumerPE, GenericPE, IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.engine.items.assigned_items import AssignedItems
from dispel4py.engine.items.stable_hash import stable_hash

CALLS = 3000
INSTANCES = 3
LIMIT = 30.0

pairs = st.lists(st.tuples(st.integers(0, 5), st.integers()))


def chain(*pes):
    graph = WorkflowGraph()
    for source, destination in pairwise(pes):
        graph.connect(source, "output", destination, "input")
    return graph


class Keyed(ProducerPE):
    """Sends a key and a number."""

    number = 0

    def _process(self, inputs):
        self.number += 1
        return key_of(self.number), self.number


def key_of(number):
    return f"key{number * 7919 % 101}"


class Direct(IterativePE):
    """Does what it is given with each number."""

    def __init__(self, work):
        super().__init__()
        self.inputconnections["input"]["grouping"] = [0]
        self.numprocesses = INSTANCES
        self.work = work

    def _process(self, data):
        return self.work(self, data[1])


class General(GenericPE):
    """The same, by the method `process`."""

    def __init__(self, work):
        super().__init__(INSTANCES)
        self._add_input("input", grouping=[0])
        self._add_output("output")
        self.work = work

    def process(self, inputs):
        returned = self.work(self, inputs["input"][1])
        return None if returned is None else {"output": returned}


KINDS = pytest.mark.parametrize("kind", [Direct, General])


def results(flow):
    ((outputs,),) = [found.values() for found in run(flow, inputs=CALLS, seed=1).outputs.values()]
    return outputs


@KINDS
@pytest.mark.parametrize(
    "make",
    [
        lambda number: number,
        lambda number: f"text {number}",
        lambda number: "x" * 1000 + str(number),
        lambda number: [number],
        lambda number: {"number": number},
        lambda number: (number, [number]),
    ],
    ids=["number", "text", "long-text", "list", "dict", "tuple"],
)
def test_m3_results_of_several_instances_are_in_the_order_of_the_items(kind, make):
    found = results(chain(Keyed(), kind(lambda pe, number: make(number))))

    assert found == [make(number) for number in range(1, CALLS + 1)]


@KINDS
def test_m3_what_a_call_writes_and_returns_stays_together(kind):
    def work(pe, number):
        if number % 3:
            pe.write("output", -number)
        return number if number % 2 else None

    expected = []
    for number in range(1, CALLS + 1):
        expected += [-number] * (number % 3 > 0) + [number] * (number % 2)
    assert results(chain(Keyed(), kind(work))) == expected


@KINDS
def test_m2_what_an_instance_returns_is_copied_when_it_is_returned(kind):
    def work(pe, number):
        shared.append(number)
        return shared

    shared = []
    found = results(chain(Keyed(), kind(work)))

    assert [len(item) for item in found] == [*range(1, CALLS + 1)]


@KINDS
def test_c3_a_failed_item_is_skipped_and_its_instance_named(kind):
    def work(pe, number):
        if number % 1000 == 0:
            raise ValueError(number)
        return number

    flow = chain(Keyed(), kind(work))
    result = run(flow, inputs=CALLS, on_error="skip")

    failed = [*range(1000, CALLS + 1, 1000)]
    assert result.outputs[f"{kind.__name__}1"]["output"] == [
        number for number in range(1, CALLS + 1) if number not in failed
    ]
    assert [failure.item[1] for failure in result.failures] == failed
    named = [failure.error.instance for failure in result.failures]
    assert named == [instance_of(failure.item[0]) for failure in result.failures]


def instance_of(key):
    return stable_hash(key) % INSTANCES


@KINDS
def test_c1_every_instance_has_its_own_calls_in_the_statistics(kind):
    flow = chain(Keyed(), kind(lambda pe, number: None))
    stats = run(flow, inputs=CALLS).stats

    calls = [instance.items for instance in stats.instances if instance.pe_id != "Keyed0"]
    expected = Counter(instance_of(key_of(number)) for number in range(1, CALLS + 1))
    assert calls == [expected[i] for i in range(INSTANCES)]


@KINDS
def test_i7_an_instance_that_draws_has_its_own_numbers_whatever_the_batches(kind):
    def work(pe, number):
        return random.random() if number > CALLS // 2 else None

    def draws(pe, number):
        return random.random()

    found = results(chain(Keyed(), kind(draws)))
    assert len(set(found)) == CALLS
    assert results(chain(Keyed(), kind(draws))) == found
    assert len(results(chain(Keyed(), kind(work)))) == CALLS - CALLS // 2


@KINDS
def test_i5_what_a_thread_writes_goes_on_its_way_while_the_call_of_its_instance_lasts(kind):
    class Arrives(ConsumerPE):
        def _process(self, number):
            arrived[number].set()

    def work(pe, number):
        if number > CALLS - 20:
            thread = threading.Thread(target=pe.write, args=("output", number))
            thread.start()
            assert arrived[number].wait(LIMIT)
            thread.join()

    arrived = defaultdict(threading.Event)
    run(chain(Keyed(), kind(work), Arrives()), inputs=CALLS)

    assert sorted(arrived) == [*range(CALLS - 19, CALLS + 1)]


@KINDS
def test_i5_a_thread_of_an_instance_that_is_not_done_writes_when_others_are(kind):
    class Threaded(kind):
        def preprocess(self):
            self.numbers = []

        def postprocess(self):
            thread = threading.Thread(target=write_all, args=(self,))
            thread.start()
            thread.join(LIMIT)
            assert not thread.is_alive()

    def write_all(pe):
        for number in pe.numbers * 3:  # more than may wait
            pe.write("output", number)

    found = results(chain(Keyed(), Threaded(lambda pe, number: pe.numbers.append(number))))

    assert Counter(found) == dict.fromkeys(range(1, CALLS + 1), 3)


@KINDS
@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_i10_a_process_that_an_instance_forks_ends_with_its_call(kind):
    def work(pe, number):
        if os.getpid() != parent:
            os._exit(3)  # the next call must not be made here
        if number == CALLS - 10:
            child = os.fork()
            if child:
                assert os.waitpid(child, 0)[1] == 0
        return number

    parent = os.getpid()
    assert results(chain(Keyed(), kind(work))) == [*range(1, CALLS + 1)]


class Mute:
    def __str__(self):
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("code", "status"),
    [(None, 0), (True, 1), (3, 3), (10**5000, 0), ("no data", 1), (Mute(), 1)],
    ids=["none", "a truth value", "a number", "a large number", "a text", "no text"],
)
@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_i10_a_process_that_a_pe_forks_exits_with_its_status(code, status):
    class Fork(IterativePE):
        def _process(self, data):
            child = os.fork()
            if child:
                return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            raise SystemExit(code)

    outputs = run(chain(Keyed(), Fork()), inputs=1).outputs
    assert outputs == {"Fork1": {"output": [status]}}


@given(pairs)
def test_assigned_items_are_the_same_in_runs_and_by_instance(pairs):
    numbers, items = [i for i, _ in pairs], [item for _, item in pairs]
    for instances in (numbers, bytes(numbers)):
        assigned = AssignedItems(instances, items)

        runs = [(i, [item for _, item in run]) for i, run in groupby(pairs, lambda pair: pair[0])]
        assert assigned.runs() == runs
        assert dict(assigned.by_instance()) == {
            i: [item for j, item in pairs if i == j] for i in numbers
        }
        assert dict(assigned.counts(6)) == Counter(numbers)
        assert AssignedItems.of_parts(runs).items == items
        assert [*assigned[1:3].instances] == numbers[1:3]
        assert assigned[1:3].items == items[1:3]
        assert len(assigned) == len(items)
