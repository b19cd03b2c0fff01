"""The mapping `threads`: what is different where ranks are threads of one process."""

import random
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from d4py_conformance.waiting import wait_until
from d4py_fixed.engine.frames import Items
from d4py_fixed.threads.mapping import ThreadsMapping
from d4py_fixed.threads.transport import ThreadTransport
from dispel4py import GenericPE, IterativePE, ProcessingError, ProducerPE, WorkflowGraph, run


class Count(ProducerPE):
    def __init__(self):
        super().__init__()
        self.count = 0
        self.stateful = True

    def _process(self, inputs):
        self.count += 1
        return self.count


class Place(IterativePE):
    """Sends which thread it is called on."""

    def _process(self, data):
        return threading.get_ident()


class Held(IterativePE):
    """Sends the identity of an object that cannot be copied, and the number of its instance."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def _process(self, data):
        return id(self.lock), self.rank


@pytest.fixture
def threads():
    """Runs a graph, after which all of its threads have ended."""
    before = set(threading.enumerate())

    def execute(graph, inputs=1, processes=None, **options):
        return run(graph, ThreadsMapping(), inputs, processes, **options)

    yield execute
    assert set(threading.enumerate()) <= before


def test_i1_instances_have_threads_of_this_process(threads, chain):
    result = threads(chain(Count(), Place()), 30, 4)
    assert result.stats.processes == 4
    found = set(result.outputs["Place1"]["output"])
    assert len(found) == 3
    assert threading.get_ident() not in found


def test_i2_an_object_that_cannot_be_copied_is_shared_by_the_instances_that_were_asked_for(
    threads, chain
):
    pe = Held()
    pe.numprocesses = 3
    found = threads(chain(Count(), pe), 30).outputs["Held1"]["output"]
    assert {identity for identity, _ in found} == {id(pe.lock)}
    assert len({rank for _, rank in found}) == 3


def test_i2_a_pe_that_cannot_be_copied_gets_no_spare_threads(threads, chain):
    found = threads(chain(Count(), Held(), Place()), 30, 8)
    assert len({rank for _, rank in ranks_of(found, "Held1")}) == 1
    assert found.stats.processes == 8


def ranks_of(result, pe_id):
    return {(entry.pe_id, entry.rank) for entry in result.stats.instances if entry.pe_id == pe_id}


class SendsList(ProducerPE):
    """Sends a list, and its identity."""

    def _process(self, inputs):
        item = []
        item.append(id(item))
        return item


class IsSame(IterativePE):
    def _process(self, data):
        return data[0] == id(data)


@pytest.mark.parametrize("share", [True, False])
def test_m2_items_are_the_same_objects_only_where_they_are_shared(threads, chain, share):
    result = threads(chain(SendsList(), IsSame()), 50, share_items=share)
    assert result.outputs["IsSame1"]["output"].count(share) == 50


class Appends(GenericPE):
    """Changes what it is called with."""

    def __init__(self):
        super().__init__()
        self.add_input("input")
        self.add_output("output")

    def process(self, inputs):
        inputs["input"].append("changed")
        return {"output": len(inputs["input"])}


def test_m2_a_root_does_not_change_what_the_caller_has_given(threads, chain):
    given = [{"input": ["a"]}, {"input": ["b", "c"]}]
    assert threads(chain(Appends()), given).outputs == {"Appends0": {"output": [2, 3]}}
    assert given == [{"input": ["a"]}, {"input": ["b", "c"]}]


class Fails(IterativePE):
    """Fails once another instance is in its call."""

    def __init__(self, begun):
        super().__init__()
        self.begun = begun

    def _process(self, data):
        wait_until(self.begun.exists, "the call of another PE")
        raise ValueError("on purpose")


class Long(IterativePE):
    """Makes a call that lasts for an hour."""

    def __init__(self, begun, do):
        super().__init__()
        self.begun, self.do = begun, do

    def _process(self, data):
        self.begun.touch()
        self.do()


def loop():
    until = time.monotonic() + 3600
    while time.monotonic() < until:
        pass


def loop_in_try():
    while True:
        with suppress(Exception):
            loop()


def program():
    subprocess.run([sys.executable, "-c", "import time; time.sleep(3600)"], check=False)


def both(chain, begun, do):
    graph = chain(Count(), Fails(begun))
    root = Count()
    graph.connect(root, "output", Long(begun, do), "input")
    return graph


@pytest.mark.parametrize("do", [loop, loop_in_try, program], ids=lambda do: do.__name__)
def test_c4_a_call_of_python_code_ends_with_the_run(threads, chain, tmp_path, do):
    with pytest.raises(ProcessingError, match="on purpose") as caught:
        threads(both(chain, tmp_path / "begun", do))
    assert not [note for note in notes_of(caught.value) if "goes on" in note]


def notes_of(error):
    return getattr(error, "__notes__", [])


def test_c4_a_call_that_cannot_be_ended_is_named(chain, tmp_path):
    before = set(threading.enumerate())
    lock = threading.Lock()
    lock.acquire()
    with pytest.raises(ProcessingError, match="on purpose") as caught:
        run(both(chain, tmp_path / "begun", Waits(lock)), ThreadsMapping())
    (left,) = set(threading.enumerate()) - before
    assert [note for note in notes_of(caught.value) if "Long3 (instance 0) goes on" in note]
    assert left.daemon
    lock.release()
    left.join(30)
    assert not left.is_alive()


class StartsThread(IterativePE):
    """Sends whether a thread that it makes is a daemon."""

    def _process(self, data):
        return threading.Thread(target=loop).daemon


def test_i10_a_program_waits_for_threads_that_a_pe_has_started(threads, chain):
    result = threads(chain(Count(), StartsThread()))
    assert result.outputs["StartsThread1"]["output"] == [False]


class Waits:
    """Waits for a lock, in one call of a function that is not Python code."""

    def __init__(self, lock):
        self.lock = lock

    def __call__(self):
        self.lock.acquire()


class Draws(IterativePE):
    def __init__(self, make):
        super().__init__()
        self.make = make
        self.stateful = True

    def _preprocess(self):
        self.random = self.make()

    def _process(self, data):
        return self.random.random()


def global_generator():
    return random


def own_generator():
    return random.Random(7)


def test_i7_a_run_reports_that_it_drew_from_generators_that_threads_share(threads, chain, caplog):
    threads(chain(Count(), Draws(own_generator)), 10)
    assert caplog.text == ""
    state = random.getstate()
    result = threads(chain(Count(), Draws(global_generator)), 10, seed=1)
    (note,) = result.stats.notes
    assert "global random generators" in note
    assert caplog.messages == [note]
    assert random.getstate() == state


class Prints(IterativePE):
    def _process(self, data):
        for part in ("one", " ", "line", "\n"):
            sys.stdout.write(part)
            time.sleep(0)  # lets other threads print


def test_c2_runs_that_overlap_print_whole_lines_and_leave_standard_output_alone(chain, capsys):
    stream = sys.stdout
    pe = Prints()
    pe.numprocesses = 2
    runs = [
        threading.Thread(target=run, args=(chain(Count(), pe), ThreadsMapping(), 200))
        for _ in range(2)
    ]
    for one in runs:
        one.start()
    for one in runs:
        one.join(60)
    assert sys.stdout is stream
    assert capsys.readouterr().out == "one line\n" * 400


def test_c2_the_rest_of_a_line_is_printed_at_the_end(threads, chain, capsys):
    class Half(IterativePE):
        def _process(self, data):
            print("no end", end="")

    threads(chain(Count(), Half()))
    assert capsys.readouterr().out == "no end"


class Consumer:
    """An inbox whose rank has used up what it gets before `put` returns."""

    def put(self, message):
        message[1].items.clear()


def test_c6_the_size_of_a_batch_is_that_at_the_time_when_it_was_sent():
    transport = ThreadTransport([Consumer(), Consumer()], 0)
    assert transport.send(1, Items(0, 0, "input", ["a" * 1000] * 10)) > 1000


class KeepInputs(ProducerPE):
    """Sends the dict that it is called with, and changes it in the next call."""

    def __init__(self):
        super().__init__()
        self.stateful = True
        self.last = {"rows": []}

    def _process(self, inputs):
        self.last["rows"].append("spoilt")
        inputs["rows"] = [[number] for number in range(6)]
        self.last = inputs
        return inputs


class SendAtEnd(IterativePE):
    """Sends at the end what it has got."""

    def __init__(self):
        super().__init__()
        self.stateful = True
        self.got = []

    def _process(self, data):
        self.got.append(data)

    def _postprocess(self):
        for data in self.got:
            self.write("output", data)


@pytest.mark.parametrize("inputs", [6, [{}] * 6], ids=["a number", "dicts"])
def test_m2_what_a_root_keeps_of_its_inputs_is_its_own(inputs):
    graph = WorkflowGraph()
    graph.connect(KeepInputs(), "output", SendAtEnd(), "input")
    results = run(graph, "threads", inputs=inputs).outputs["SendAtEnd1"]["output"]
    assert results == [{"rows": [[number] for number in range(6)]}] * 6
