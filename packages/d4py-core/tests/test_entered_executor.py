"""Another thread sends what a call has written, while the call waits."""

import threading
from typing import ClassVar

import pytest

from dispel4py import ConsumerPE, IterativePE, ProducerPE, WorkflowGraph
from dispel4py.engine.execution import executor as executor_module
from dispel4py.engine.execution.entered_executor import EnteredExecutor
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.planning.plan import make_plan

LIMIT = 60.0


class OutputHandler:
    def __init__(self):
        self.sent = []

    def send(self, pe, instance, input_name, items):
        self.sent += items

    def result(self, pe_id, output, items):
        self.sent += items


class Waits(ProducerPE):
    """Writes two items, and waits for another thread."""

    written, go_on = threading.Event(), threading.Event()

    def _process(self, inputs):
        self.write("output", 1)
        self.write("output", 2)
        Waits.written.set()
        assert Waits.go_on.wait(LIMIT)
        self.write("output", 3)


class Seeks(Waits):
    seeks = True


class Identified(Waits):
    item_ids = True


class WaitsInBatch(ProducerPE):
    batch_size = 2

    def _process_batch(self, calls):
        Waits._process(self, calls)


class Ignore(ConsumerPE):
    got: ClassVar[list] = []
    ignored_state = ("got",)

    def _process(self, data):
        Ignore.got.append(data)


@pytest.fixture
def run_call(monkeypatch):
    """Calls a root, and a function from another thread meanwhile; returns what was sent."""

    def run(act, root=Waits, is_local=lambda pe, _: pe == 0, stuck_seconds=LIMIT):
        root.written, root.go_on = Waits.written, Waits.go_on = threading.Event(), threading.Event()
        Ignore.got = []
        graph = WorkflowGraph()
        graph.connect(root(), "output", Ignore(), "input")
        # However slow the machine is, nothing is sent for the time that has passed.
        plan = make_plan(
            graph, limits=EngineLimits(linger_seconds=1e9, stuck_seconds=stuck_seconds)
        )
        handler = OutputHandler()
        executor = EnteredExecutor(plan, handler, is_local=is_local)
        found = []

        def other():
            assert Waits.written.wait(LIMIT)
            try:
                found.append(act(executor, handler))
            finally:
                Waits.go_on.set()

        thread = threading.Thread(target=other)
        thread.start()
        try:
            executor.call_root(0, iter([{}]))
        finally:
            thread.join(LIMIT)
        return found, handler.sent

    return run


def collect(executor, handler):
    with executor.entered_call() as is_inside:
        assert is_inside
        executor.send_output()
    return [*handler.sent]


def test_m4_what_was_written_is_sent_once_and_in_order(run_call):
    assert run_call(collect) == ([[1, 2]], [1, 2, 3])


def test_only_what_has_waited_is_due(run_call):
    def look(executor, handler):
        with executor.entered_call():
            return executor.has_waited(0.0), executor.has_waited(1e9)

    assert run_call(look)[0] == [(True, False)]


def test_m3_what_this_process_gets_is_left_to_the_thread_that_calls_and_keeps_its_order(run_call):
    assert run_call(collect, is_local=lambda *_: True) == ([[]], [])
    assert Ignore.got == [1, 2, 3]


def test_m7_a_call_with_a_batch_is_sent_as_a_whole(run_call):
    def look(executor, handler):
        with executor.entered_call() as is_inside:
            return is_inside, executor.has_waited(0.0)

    assert run_call(look, root=WaitsInBatch) == ([(True, False)], [1, 2, 3])


def test_a_call_of_a_root_with_ids_is_entered(run_call):
    found, sent = run_call(collect, root=Identified)
    assert (len(found[0]), len(sent)) == (2, 3)


def test_a_call_that_seeks_is_not_entered(run_call):
    def enter(executor, handler):
        with executor.entered_call() as is_inside:
            return is_inside

    found, sent = run_call(enter, root=Seeks)
    assert (found, sent) == ([False], [1, 2, 3])


def test_an_error_of_the_other_thread_ends_the_call(run_call):
    def fail(executor, handler):
        with executor.entered_call() as is_inside:
            assert is_inside
            Waits.go_on.set()
            executor.fail(OSError("the receiver is gone"))

    with pytest.raises(OSError, match="the receiver is gone"):
        run_call(fail)


def test_c3_an_error_of_the_other_thread_ends_the_process_of_a_call_that_goes_on(
    run_call, monkeypatch
):
    def fail(executor, handler):
        with executor.entered_call():
            executor.fail(OSError("the receiver is gone"))

    aborted = []
    monkeypatch.setattr(executor_module, "abort_call", lambda error, _: aborted.append(error))
    with pytest.raises(OSError, match="the receiver is gone"):
        run_call(fail, stuck_seconds=0.01)
    assert [*map(str, aborted)] == ["the receiver is gone"]


def test_between_calls_there_is_nothing_to_enter():
    graph = WorkflowGraph()
    graph.add(IterativePE())
    executor = EnteredExecutor(make_plan(graph), OutputHandler())
    with executor.entered_call() as is_inside:
        assert not is_inside
