"""C3 and C4 on `simple`: what becomes of a run in which a PE raises."""

import itertools
import threading
from contextlib import suppress

import pytest

from dispel4py import GenericPE, IterativePE, ProcessingError, ProducerPE, WorkflowGraph, run
from dispel4py.errors import GroupingError, InputError, ItemError
from dispel4py.mappings import simple


class Count(ProducerPE):
    total = 0

    def _process(self, inputs):
        self.total += 1
        return self.total


class Each(IterativePE):
    def __init__(self, work=lambda data: data):
        super().__init__()
        self.work = work

    def _process(self, data):
        return self.work(data)


class Writer(GenericPE):
    """Writes its item a thousand times and swallows whatever comes of it."""

    def __init__(self, swallow):
        super().__init__()
        self._add_input("input")
        self._add_output("output")
        self.swallow = swallow

    def process(self, inputs):
        for _ in range(3000):
            with suppress(self.swallow):
                self.write("output", inputs["input"])


def chain(*nodes) -> WorkflowGraph:
    graph = WorkflowGraph()
    for source, destination in itertools.pairwise(nodes):
        graph.connect(source, "output", destination, "input")
    return graph


def fails_at(*bad):
    def work(data):
        if data in bad:
            raise ValueError(f"no {data}")
        return data

    return work


def failure(graph, inputs=5, **options) -> ProcessingError:
    with pytest.raises(ProcessingError) as raised:
        run(graph, inputs=inputs, **options)
    return raised.value


def test_c3_first_error_stops_the_run_and_names_pe_instance_and_item():
    called = []
    last = Each(called.append)

    error = failure(chain(Count(), Each(fails_at(1)), last))

    assert (error.pe_id, error.instance, error.phase, error.item) == ("Each1", 0, "process", "1")
    assert str(error) == "Each1 (instance 0) failed in process at item 1: ValueError: no 1"
    assert isinstance(error.__cause__, ValueError)
    assert called == []


def test_c3_traceback_is_the_one_of_the_user():
    error = failure(chain(Count(), Each(fails_at(1))))

    lines = error.user_traceback.splitlines()
    assert "test_simple_errors.py" in lines[1]
    assert any("raise ValueError" in line for line in lines)
    assert lines[-1] == "ValueError: no 1"
    assert error.exit_status == 1


def test_c3_instance_that_failed_is_named():
    pe = Each(fails_at(2))
    pe.numprocesses = 3

    assert failure(chain(Count(), pe)).instance == 1


def test_c3_long_items_are_shortened():
    def fail(data):
        raise ValueError

    assert len(str(failure(chain(Count(), Each(lambda data: "x" * 10**6), Each(fail))))) < 400


@pytest.mark.parametrize("phase", ["preprocess", "postprocess"])
def test_c3_errors_in_other_phases_are_named(phase):
    def fail(self):
        raise ValueError("no")

    pe = type("Fails", (Each,), {phase: fail})()

    assert str(failure(chain(Count(), pe))) == (
        f"Fails1 (instance 0) failed in {phase}: ValueError: no"
    )


def test_c3_skip_carries_on_and_lists_each_failure_with_its_item():
    pe = Each(fails_at(2, 4))
    result = run(chain(Count(), pe, Each()), inputs=5, on_error="skip")

    assert result.outputs == {"Each2": {"output": [1, 3, 5]}}
    assert [(failed.pe_id, failed.instance, failed.item) for failed in result.failures] == [
        ("Each1", 0, 2),
        ("Each1", 0, 4),
    ]
    assert "no 2" in str(result.failures[0])
    assert "raise ValueError" in result.failures[0].error.user_traceback


def test_c3_skip_carries_on_after_a_failed_postprocess():
    def fail(self):
        raise ValueError("no")

    class Says(Each):
        def postprocess(self):
            self.write("output", "last")

    result = run(
        chain(Count(), type("Fails", (Each,), {"postprocess": fail})(), Says()),
        inputs=1,
        on_error="skip",
    )

    assert result.outputs == {"Says2": {"output": [1, "last"]}}
    ((failed),) = result.failures
    assert (failed.error.phase, failed.item) == ("postprocess", None)


def test_c3_skip_does_not_skip_a_preprocess():
    def fail(self):
        raise ValueError("no")

    assert (
        failure(
            chain(Count(), type("Fails", (Each,), {"preprocess": fail})()), on_error="skip"
        ).phase
        == "preprocess"
    )


@pytest.mark.parametrize("swallow", [Exception, BaseException])
def test_c3_pe_that_swallows_errors_around_write_does_not_hide_those_of_others(swallow):
    error = failure(chain(Count(), Writer(swallow), Each(fails_at(1))))

    assert error.pe_id == "Each2"


def test_c3_skip_does_not_tell_the_sender_of_failures_below():
    told = []

    class Listens(Writer):
        def process(self, inputs):
            try:
                super().process(inputs)
            except BaseException as error:
                told.append(error)

    result = run(chain(Count(), Listens(()), Each(fails_at(2))), inputs=3, on_error="skip")

    assert len(result.failures) == 3000
    assert len(result.outputs["Each2"]["output"]) == 6000
    assert told == []


def test_c3_sys_exit_in_a_pe_is_a_failure_of_the_run():
    def leave(data):
        raise SystemExit(0)

    assert failure(chain(Count(), Each(leave))).reason == "SystemExit: 0"


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_c4_keyboard_interrupt_passes_through(on_error):
    def interrupt(data):
        raise KeyboardInterrupt

    for graph in (
        chain(Count(), Each(interrupt)),
        chain(Count(), Writer(BaseException), Each(interrupt)),
    ):
        with pytest.raises(KeyboardInterrupt):
            run(graph, on_error=on_error)


class OnResultError(Exception):
    pass


@pytest.mark.parametrize("on_error", ["stop", "skip"])
@pytest.mark.parametrize("middle", [Each(), Writer(Exception), Writer(BaseException)])
def test_error_of_on_result_comes_out_as_it_is(middle, on_error):
    def refuse(pe_id, output, data):
        raise OnResultError(data)

    with pytest.raises(OnResultError):
        run(chain(Count(), middle), inputs=3, on_result=refuse, on_error=on_error)


@pytest.mark.parametrize("callback", ["on_result", "on_failure", "on_progress"])
def test_c3_the_traceback_of_a_callback_has_its_own_frames_alone(callback, monkeypatch):
    monkeypatch.setattr(simple, "PROGRESS_SECONDS", 0.0)

    def refuse(*arguments):
        raise OnResultError

    def work(data):
        if callback == "on_failure":
            raise ValueError
        return data

    with pytest.raises(OnResultError) as raised:
        run(chain(Count(), Each(work)), inputs=3, on_error="skip", **{callback: refuse})
    assert [entry.name for entry in raised.traceback[1:]] == ["refuse"]


def test_c3_group_key_that_cannot_be_read_names_key_item_and_grouping():
    pe = Each()
    pe.inputconnections["input"]["grouping"] = ["word"]
    source = Each(lambda data: {"word": data} if data != 2 else {"wrod": data})

    error = failure(chain(Count(), source, pe))

    assert isinstance(error.__cause__, GroupingError)
    assert str(error) == (
        "Each1 (instance 0) failed in process at item {'wrod': 2}:"
        " dispel4py.errors.GroupingError: the group key cannot be read from {'wrod': 2}:"
        " input 'input' of Each2 is grouped by ['word'] (KeyError: 'word'); this dict has the keys"
        " 'wrod': send items that have it, or change the grouping"
    )
    skipped = run(chain(Count(), source, pe), inputs=3, on_error="skip")
    assert skipped.outputs == {"Each2": {"output": [{"word": 1}, {"word": 3}]}}
    assert [failed.item for failed in skipped.failures] == [{"wrod": 2}]


def test_group_key_that_cannot_be_hashed_names_its_type():
    pe = Each()
    pe.inputconnections["input"]["grouping"] = [0]

    error = failure(chain(Count(), Each(lambda data: [print]), pe))

    assert "builtin_function_or_method has no hash that is the same in every process" in str(error)


def test_item_that_cannot_be_copied_names_pe_attribute_and_the_way_out():
    error = failure(chain(Count(), Each(lambda data: {"lock": threading.Lock()}), Each()))

    assert isinstance(error.__cause__, ItemError)
    assert error.pe_id == "Each1"
    assert "because of the value at key 'lock' (a lock)" in str(error)
    assert "in preprocess()" in str(error)


def test_bad_inputs_are_refused_before_anything_starts():
    started = []
    pe = Each()
    pe.preprocess = lambda: started.append(1)

    with pytest.raises(InputError):
        run(chain(pe, Each()), inputs=[{"input": 1}, {"inptu": 2}])

    assert started == []
