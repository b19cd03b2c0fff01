"""PEs that seek: a call that is repeated goes on where it was cut off."""

import pytest

from dispel4py import GenericPE, WorkflowGraph, run
from dispel4py.engine.calls.replay import CallOffset
from dispel4py.engine.execution.executor import Executor
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.planning.plan import make_plan
from dispel4py.errors import ProcessingError


class Reads(GenericPE):
    """A root that writes so many items in each call, and notes where each call began."""

    seeks = True

    def __init__(self, times):
        super().__init__()
        self._add_output("output")
        self._add_output("odd")
        self.times, self.calls, self.began = times, 0, []

    def _preprocess(self):
        self.write("output", "first")

    def process(self, inputs):
        self.calls += 1
        self.began.append(dict(self.sent_before))
        for i in range(self.sent_before["output"], self.times):
            self.write("output", (self.calls, i))
        for i in range(self.sent_before["odd"], self.times // 2):
            self.write("odd", (self.calls, i))

    def _postprocess(self):
        self.write("output", "last")


class OutputHandler:
    def __init__(self):
        self.results = []

    def result(self, pe_id, output, items):
        self.results += items


def model(times, calls):
    """All that a `Reads` writes, by plain Python."""
    each = [item for c in range(1, calls + 1) for item in _written(times, c)]
    return ["first", *each, "last"]


def _written(times, call):
    return [(call, i) for i in range(times)] + [(call, i) for i in range(times // 2)]


def make(times, sent_before=None, cut=None, **options):
    graph = WorkflowGraph()
    graph.add(Reads(times))
    handler = OutputHandler()
    executor = Executor(make_plan(graph), handler, one_by_one=True, **options)
    runner = executor.start(0, 0, None, sent_before or {}, cut)
    return executor, runner, handler


def test_without_a_loss_every_call_begins_at_the_beginning():
    graph = WorkflowGraph()
    graph.add(Reads(4))
    assert sorted(map(str, run(graph, inputs=2).outputs["Reads0"]["output"])) == sorted(
        ["first", *(f"({c}, {i})" for c in (1, 2) for i in range(4)), "last"]
    )


def test_c5_wherever_it_is_lost_it_goes_on_from_there():
    # Looked at after each item: what would be committed there is what the next one goes on from.
    seen, runner = [], None

    def look():
        if runner is not None:
            seen.append(
                (runner.replay.sent_in_total, runner.replay.call_offset, [*handler.results])
            )

    executor, runner, handler = make(4, on_batch_end=look)
    executor.feed(0, 0, None, iter([{}] * 3))
    for _ in range(2):
        executor.feed(0, 0, None, iter([{}]))
    executor.finish(0, 0)
    assert handler.results == model(4, 3)
    assert len(seen) >= 3 * 6
    for sent_before, cut, before in seen:
        executor, heir, handler = make(4, sent_before, cut)
        for _ in range(3):
            executor.feed(0, 0, None, iter([{}]))
        executor.finish(0, 0, close=False)
        assert sorted(map(str, before + handler.results)) == sorted(map(str, model(4, 3)))
        starts = [dict(cut.sent) if i == cut.calls else {} for i in range(3)]
        assert heir.pe.began == [{"output": 0, "odd": 0} | start for start in starts]


def test_c5_nothing_of_the_call_that_goes_on_is_dropped():
    _, runner, _ = make(4, {"output": 9, "odd": 2}, CallOffset(1, (("output", 4), ("odd", 0))))
    runner.process(None, [{}, {}])
    assert runner.replay.left_to_drop == {}
    assert runner.replay.sent_in_total == {"output": 9, "odd": 4}
    assert runner.replay.call_offset == CallOffset(2)


def test_h2_a_checkpoint_in_between_moves_the_place_nearer():
    cut = CallOffset(2, (("output", 1), ("odd", 0)))
    _, runner, _ = make(4, {"output": 10, "odd": 4}, cut)
    runner.process(None, [{}])
    assert runner.replay.call_offset == cut  # as long as it is not reached
    assert runner.replay.next_call_offset == CallOffset(1, cut.sent)
    runner.track(runner.replay.left_to_drop, runner.replay.next_call_offset)
    runner.process(None, [{}, {}])
    assert [began["output"] for began in runner.pe.began] == [0, 0, 1]
    assert runner.replay.next_call_offset is None


def test_error_without_seeks_names_the_attribute():
    class Asks(Reads):
        seeks = False

    graph = WorkflowGraph()
    graph.add(Asks(1))
    with pytest.raises(ProcessingError, match=r"has no sent_before now.*`seeks = True`"):
        run(graph)


def test_m5_ids_of_what_is_written_after_a_cut_are_the_same():
    class Ask(GenericPE):
        item_ids = True

        def __init__(self):
            super().__init__()
            self._add_input("input")
            self._add_output("output")

        def process(self, inputs):
            return {"output": (self.item_id, inputs["input"])}

    def written(sent_before, cut):
        graph = WorkflowGraph()
        graph.connect(Reads(4), "output", Ask(), "input")
        handler = OutputHandler()
        executor = Executor(make_plan(graph), handler)
        executor.start(0, 0, None, sent_before, cut)
        executor.feed(0, 0, None, iter([{}]))
        executor.drain()
        return [found for found in handler.results if isinstance(found[0], str)]

    calm = written({}, None)
    late = written({"output": 4, "odd": 0}, CallOffset(0, (("output", 3), ("odd", 0))))
    assert late == calm[-1:]


class Returns(GenericPE):
    """Returns something large from each call."""

    seeks = True

    def __init__(self):
        super().__init__()
        self._add_output("output")

    def process(self, inputs):
        return {"output": bytes(EngineLimits().max_batch_bytes + 1)}


def test_c6_where_a_batch_is_cut_its_calls_are_complete():
    cuts = []

    class Looks(OutputHandler):
        def result(self, pe_id, output, items):
            cuts.append((len(items), executor.start(0, 0).replay.call_offset))

    graph = WorkflowGraph()
    graph.add(Returns())
    executor = Executor(make_plan(graph), Looks(), one_by_one=False)
    executor.start(0, 0, sent_before={}).slice = 3
    assert executor.feed(0, 0, None, iter([{}, {}, {}])) == 3
    assert cuts == [(1, CallOffset(1)), (1, CallOffset(2)), (1, CallOffset(3))]
