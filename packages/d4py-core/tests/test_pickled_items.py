"""Items that all leave the process: pickled once, when they are written."""

import pickle
from types import SimpleNamespace

import pytest

from dispel4py import IterativePE, ProducerPE, WorkflowGraph
from dispel4py.core import GenericPE
from dispel4py.engine.execution.pickled_items import (
    PickledItem,
    UnreadItem,
    all_leave,
    copy_buffer,
    drop_unread,
    pickling_copier,
)
from dispel4py.engine.items.copying import KEPT_BYTES
from dispel4py.engine.items.sizes import ByteCounter
from dispel4py.engine.planning.plan import make_plan
from dispel4py.errors import ItemError


class TwoOutputs(GenericPE):
    def __init__(self):
        super().__init__()
        self._add_output("left")
        self._add_output("right")

    def process(self, inputs):
        return {"left": 1, "right": 2}


class WithIds(IterativePE):
    """Uses the ids of its items, so that those of PEs upstream have some as well."""

    item_ids = True


class Large:
    """Has its data out of its pickle.

    Args:
        count: how often it was pickled.
        data: the data.
    """

    def __init__(self, count=0, data=b""):
        self.count = count
        self.data = data or bytearray(KEPT_BYTES)

    def __reduce__(self):
        return type(self), (self.count + 1, pickle.PickleBuffer(self.data))


class CannotBeLoaded(Large):
    def __init__(self, count=0, data=b""):
        super().__init__(count, data)
        if count:
            raise ValueError("it stays")


class TestCopies:
    def copy(self, item):
        return pickling_copier(copy_buffer, (2, 5))(item, ByteCounter())

    def test_m2_what_a_pe_does_to_an_item_after_writing_it_is_not_sent(self):
        item = Large()
        copy = self.copy(item)
        item.data[0] = 7
        assert isinstance(copy, PickledItem)
        (sent,) = pickle.loads(pickle.dumps([copy], protocol=5))
        assert sent.data == bytearray(KEPT_BYTES)

    def test_it_is_pickled_once(self):
        assert pickle.loads(pickle.dumps(self.copy(Large()), protocol=5)).count == 1

    def test_m2_large_buffers_are_copied_once_and_come_back_writable(self):
        numpy = pytest.importorskip("numpy")
        array = numpy.zeros(KEPT_BYTES, "u1")
        array.flags.writeable = False
        kept = []

        def keep(view):
            kept.append(bytearray(view))
            return kept[-1]

        copy = pickling_copier(keep, (2, 5))(array, ByteCounter())
        buffers = []
        data = pickle.dumps(copy, protocol=5, buffer_callback=buffers.append)
        received = pickle.loads(data, buffers=[buffer.raw() for buffer in buffers])
        received[0] = 7
        (block,) = kept
        assert block[0] == 7
        assert array[0] == 0

    @pytest.mark.parametrize("size", [10, KEPT_BYTES // 8 - 1])
    def test_small_arrays_are_copied_as_arrays(self, size):
        numpy = pytest.importorskip("numpy")
        array = numpy.arange(float(size))
        copy = self.copy(array)
        assert type(copy) is numpy.ndarray
        assert not numpy.shares_memory(copy, array)

    @pytest.mark.parametrize(
        "item",
        [{"a": 1}, [1, [2, 3]], {1, 2}, SimpleNamespace(x="long " * 10_000), bytearray(b"few")],
        ids=lambda item: type(item).__name__,
    )
    def test_items_without_large_buffers_are_made_again_at_once(self, item):
        copy = self.copy(item)
        assert copy == item
        assert copy is not item

    def test_items_that_pickle_refuses_are_copied_as_before(self):
        item = SimpleNamespace(large=Large(), call=lambda: 7)
        copy = self.copy(item)
        assert copy is not item
        assert copy.call() == 7

    def test_c3_an_item_that_cannot_be_pickled_is_refused_when_it_is_written(self):
        with pytest.raises(ItemError, match="because of attribute 'pipe'"):
            self.copy(SimpleNamespace(large=Large(), pipe=(number for number in [1])))

    def test_c3_an_item_that_cannot_be_unpickled_costs_the_receiver_no_other_item(self):
        errors = []
        batch = [self.copy(item) for item in (1, Large(), CannotBeLoaded(), 2)]
        received = drop_unread(pickle.loads(pickle.dumps(batch, protocol=5)), errors.append)
        assert [type(item) for item in received] == [int, Large, int]
        assert UnreadItem.were_made
        (unread,) = errors
        assert unread.writer == (2, 5)
        assert "cannot be unpickled" in str(unread.error)
        assert "ValueError: it stays" in str(unread.error)

    def test_c6_its_bytes_are_counted(self):
        counter = ByteCounter()
        pickling_copier(copy_buffer, (2, 5))([Large(), Large()], counter)
        assert 2 * KEPT_BYTES <= counter.bytes < 3 * KEPT_BYTES


class TestWhetherAllLeave:
    """Other PEs are in other processes, unless a test has it otherwise."""

    def leaves(self, graph, local=(), number=0):
        plan, here = make_plan(graph), {(number, 0), *local}
        return all_leave(plan, plan.pes[number], lambda pe, instance: (pe, instance) in here)

    def chain(self, last, source=None):
        graph = WorkflowGraph()
        source = source or ProducerPE()
        graph.connect(source, next(iter(source.outputconnections)), last, "input")
        return graph

    def test_results_leave(self):
        graph = WorkflowGraph()
        graph.add(ProducerPE())
        assert self.leaves(graph)

    def test_items_for_another_process_leave(self):
        assert self.leaves(self.chain(IterativePE()))

    def test_items_for_this_process_do_not(self):
        assert not self.leaves(self.chain(IterativePE()), local=[(1, 0)])

    def test_items_that_may_be_for_an_instance_in_this_process_do_not(self):
        relay = IterativePE()
        relay.numprocesses = 3
        assert self.leaves(self.chain(relay))
        assert not self.leaves(self.chain(relay), local=[(1, 2)])

    @pytest.mark.parametrize(
        ("grouping", "leave"), [([0], False), ("all", False), ("global", True)]
    )
    def test_items_that_are_looked_into_or_go_to_several_instances_do_not(self, grouping, leave):
        relay = IterativePE()
        relay.numprocesses = 2
        relay.inputconnections["input"]["grouping"] = grouping
        assert self.leaves(self.chain(relay)) is leave

    def test_items_for_two_pes_do_not(self):
        graph, numbers = WorkflowGraph(), ProducerPE()
        graph.connect(numbers, "output", IterativePE(), "input")
        graph.connect(numbers, "output", IterativePE(), "input")
        assert not self.leaves(graph)

    def test_all_outputs_have_to_leave(self):
        graph = self.chain(IterativePE(), TwoOutputs())
        assert self.leaves(graph)
        assert not self.leaves(graph, local=[(1, 0)])

    def test_items_and_results_with_ids_do_not(self):
        assert not self.leaves(self.chain(WithIds()))
        assert not self.leaves(self.chain(WithIds()), number=1)
