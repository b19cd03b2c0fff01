"""The PE runner by itself: what it makes of an exception."""

import threading

import pytest
from core_helpers.runners import Each, Work, failure, live, make_runner, written

from dispel4py.engine.calls import runner as runner_module
from dispel4py.errors import GraphError, ItemError, ProcessingError


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])
def test_c3_error_names_pe_instance_and_item_and_keeps_the_original(fast):
    work = lambda data: 1 / data  # noqa: E731
    pe = Each(work) if fast else Work(lambda pe, inputs: work(inputs["input"]))

    error = failure(pe, [0])

    assert str(error) == (
        f"{type(pe).__name__}1 (instance 0) failed in process at item 0:"
        " ZeroDivisionError: division by zero"
    )
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert "work = lambda data: 1 / data" in error.user_traceback
    assert runner_module.__file__ not in error.user_traceback


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])
def test_c3_skipped_items_do_not_hold_up_the_others(fast):
    failed = []
    work = lambda data: 10 // data  # noqa: E731
    pe = Each(work) if fast else Work(lambda pe, inputs: {"output": work(inputs["input"])})

    result = written(
        pe, [1, 0, 2, 0, 5], on_error=lambda error, item: failed.append((error.item, item))
    )

    assert result == {"output": [10, 5, 2]}
    assert failed == [("0", 0), ("0", 0)]


def test_c3_what_was_written_before_the_error_is_kept_when_skipping():
    def work(pe, inputs):
        pe.write("output", inputs["input"])
        raise ValueError

    assert written(Work(work), [1, 2], on_error=lambda error, item: None) == {"output": [1, 2]}


@pytest.mark.parametrize("phase", ["preprocess", "postprocess"])
def test_c3_error_outside_process_names_the_phase(phase):
    def fail(self):
        raise ValueError("no")

    with pytest.raises(ProcessingError) as raised:
        make_runner(type("Fails", (Work,), {phase: fail})()).postprocess()

    assert str(raised.value) == f"Fails1 (instance 0) failed in {phase}: ValueError: no"


def test_c3_preprocess_cannot_be_skipped():
    def fail(self):
        raise ValueError("no")

    with pytest.raises(ProcessingError):
        make_runner(type("Fails", (Work,), {"preprocess": fail})(), on_error=lambda *_: None)


@pytest.mark.parametrize("phase", ["preprocess", "process", "postprocess"])
def test_c3_sys_exit_in_a_pe_is_an_error_of_the_pe(phase):
    def leave(self, inputs=None):
        raise SystemExit(3)

    with pytest.raises(ProcessingError) as raised:
        live(type("Leaves", (Work,), {phase: leave})(lambda *_: None))

    assert (raised.value.phase, raised.value.reason) == (phase, "SystemExit: 3")


@pytest.mark.parametrize("phase", ["preprocess", "process", "postprocess"])
def test_c4_keyboard_interrupt_passes_through(phase):
    def interrupt(self, inputs=None):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        live(
            type("Interrupted", (Work,), {phase: interrupt})(lambda *_: None),
            on_error=lambda *_: None,
        )


def test_stop_iteration_in_a_pe_is_an_error_like_others():
    assert failure(Each(lambda data: next(iter([])))).reason == "StopIteration"


def test_item_that_cannot_be_copied_is_an_error_of_its_sender():
    error = failure(Each(lambda data: threading.Lock()))

    assert isinstance(error.__cause__, ItemError)
    assert error.pe_id == "Each1"


def test_error_of_an_uncopiable_pe_names_pe_attribute_and_advice():
    pe = Work()
    pe.guard = threading.Lock()

    with pytest.raises(GraphError) as raised:
        make_runner(pe)

    assert str(raised.value).startswith("Work1: ")
    assert "attribute 'guard' (a lock)" in str(raised.value)
    assert "preprocess()" in str(raised.value)
