"""What can travel in an entry of a stream."""

import os
import sys
import threading
from pickle import PickleBuffer

import pytest

from d4py_dynamic.store.redis.envelope import Envelope
from d4py_dynamic.store.redis.keys import RunKeys
from d4py_dynamic.store.serialization import CODEC
from d4py_dynamic.store.shared_heap import make_heap_file
from d4py_dynamic.store.task_pickles import codec_with
from d4py_dynamic.store.tasks import ANY, FINISH, ITEMS, Task
from d4py_dynamic.store.unread_items import naming_senders
from dispel4py import IterativePE, ProducerPE, WorkflowGraph
from dispel4py.engine.items.codec import ForeignBytesError
from dispel4py.engine.planning.plan import make_plan
from dispel4py.errors import ItemError


class TestCodec:
    def test_m2_a_lambda_can_be_serialized(self):
        assert CODEC.loads(CODEC.dumps(lambda number: number + 1))(41) == 42

    def test_m2_a_closure_is_serialized_with_its_variables(self):
        held = {"offset": 40}

        def add(number):
            return number + held["offset"]

        copy = CODEC.loads(CODEC.dumps(add))
        held["offset"] = 0
        assert copy(2) == 42

    def test_m2_an_object_of_a_local_class_can_be_serialized(self):
        class Local:
            def __init__(self):
                self.value = 42

        assert CODEC.loads(CODEC.dumps([Local()]))[0].value == 42

    def test_dill_is_used_only_for_what_pickle_refuses(self):
        data = CODEC.dumps({"a": [1, 2.0, "three", None]})
        assert b"dill" not in data

    def test_the_attribute_that_cannot_be_pickled_is_named(self):
        class Holder:
            def __init__(self):
                self.fine = 1
                self.stream = (number for number in ())

        with pytest.raises(ItemError) as caught:
            CODEC.dumps(Holder())
        message = str(caught.value)
        for word in ("Holder", "'stream'", "generator", "preprocess()"):
            assert word in message
        assert "'fine'" not in message


class ProcessBound:
    """Can be unpickled in its own process only."""

    def __init__(self):
        self.process = os.getpid()

    def __setstate__(self, state):
        if os.getpid() != state["process"]:
            raise LookupError("wrong process")
        vars(self).update(state)


class Exits:
    """Ends the program that unpickles it."""

    def __reduce__(self):
        return sys.exit, ("unpickled",)


class MakesProcessBound(ProducerPE):
    def _process(self, inputs):
        return ProcessBound()


class TestItemsThatCannotBeUnpickled:
    @pytest.mark.parametrize("heap", [None, make_heap_file()])
    def test_c3_in_a_worker_such_an_item_is_an_error_of_the_item(self, heap):
        codec, large = codec_with(heap), PickleBuffer(bytearray(1 << 20))
        data = codec.pack(codec.pickle(Task(ITEMS, 1, ANY, "input", [Exits(), large])))
        with pytest.raises(ItemError, match=r"cannot be unpickled .*SystemExit: unpickled"):
            codec.unpack(data)

    def test_c3_so_is_a_result_in_the_driver(self, in_processes):
        graph = WorkflowGraph()
        graph.add(MakesProcessBound())
        with pytest.raises(ItemError, match=r"cannot be unpickled .*LookupError: wrong process"):
            in_processes(graph, 1, 1)

    def test_c3_what_has_sent_it_is_named(self, in_processes):
        graph = WorkflowGraph()
        graph.add(MakesProcessBound())
        with pytest.raises(ItemError, match=r"; sent by MakesProcessBound0 \('output'\)$"):
            in_processes(graph, 1, 1)

    def test_c3_of_a_task_its_senders_and_its_receiver_are_named(self):
        graph, receiver = WorkflowGraph(), IterativePE()
        for _ in range(2):
            graph.connect(ProducerPE(), "output", receiver, "input")
        plan, codec = make_plan(graph), codec_with(None)
        number = next(pe.index for pe in plan.pes if pe.id.startswith("Iterative"))
        data = codec.pack(codec.pickle(Task(ITEMS, number, ANY, "input", [{"a": Exits()}, 1])))
        first, second = (pe.id for pe in plan.pes if pe.is_root)
        named = rf"; sent by {first} \('output'\) or {second} \('output'\) to input 'input' of "
        with pytest.raises(ItemError, match=named + plan.pes[number].id), naming_senders(plan):
            codec.unpack(data)


class TestEnvelope:
    @pytest.fixture
    def envelope(self):
        return Envelope(b"0" * 32)

    def test_an_object_is_opened_unchanged(self, envelope):
        task = Task(ITEMS, 1, ANY, "input", [1, "two"])
        assert envelope.unwrap({b"d": envelope.wrap(task, "s")}, "s") == task

    @pytest.mark.parametrize("byte", [0, 8, 15, 16, 20, -1])
    def test_a_changed_byte_is_detected(self, envelope, byte):
        sealed = bytearray(envelope.wrap("hello", "s"))
        sealed[byte] ^= 1
        with pytest.raises(ForeignBytesError):
            envelope.unwrap({b"d": bytes(sealed)}, "s")

    def test_an_envelope_opens_only_in_its_stream(self, envelope):
        sealed = envelope.wrap("hello", "run:a")
        with pytest.raises(ForeignBytesError, match="run:b"):
            envelope.unwrap({b"d": sealed}, "run:b")

    def test_an_envelope_opens_only_with_its_secret(self, envelope):
        sealed = Envelope(b"1" * 32).wrap("hello", "s")
        with pytest.raises(ForeignBytesError):
            envelope.unwrap({b"d": sealed}, "s")

    @pytest.mark.parametrize("data", [b"", b"short", b"\0" * 16])
    def test_too_few_bytes_are_foreign(self, envelope, data):
        with pytest.raises(ForeignBytesError):
            envelope.unwrap({b"d": data}, "s")


class TestRunKeys:
    keys = RunKeys("run", ((0, 0), (2, 0), (2, 1)))

    def test_each_pinned_instance_and_worker_has_its_own_stream(self):
        streams = self.keys.streams(2)
        assert len(streams) == len(set(streams)) == 1 + 3 + 2

    def test_a_task_is_in_the_stream_of_its_instance(self):
        assert self.keys.stream_of(Task(FINISH, 2, 1)) == self.keys.pin(2, 1)
        assert self.keys.stream_of(Task(FINISH, 1)) == self.keys.shared

    def test_keys_are_distinct(self):
        keys = self.keys.all(2)
        assert len(keys) == len(set(keys))
        assert all(key.startswith("d4py:{run}:") for key in keys)


def test_a_lock_is_made_again_by_the_receiver():
    # dill does that; it means that a PE may hold one.
    assert CODEC.loads(CODEC.dumps(threading.Lock())).acquire(timeout=1)
