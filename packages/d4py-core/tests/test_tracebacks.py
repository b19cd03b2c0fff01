"""Tracebacks show the user's own lines, and none of d4py's."""

import linecache
import pickle
import signal
import threading
import traceback

import pytest

from dispel4py import IterativePE, ProcessingError, ProducerPE, UsageError, WorkflowGraph, run
from dispel4py.errors import (
    ServiceError,
    UndeclaredStateError,
    WorkerLostError,
    format_user_traceback,
    name_list,
)
from dispel4py.exceptions.tracebacks import with_source


class Count(ProducerPE):
    def _process(self, inputs):
        return 1


class Chained(IterativePE):
    def _process(self, data):
        try:
            self.read()
        except KeyError as error:
            raise ValueError("no calibration") from error

    def read(self):
        return {}["calibration"]


class Writes(IterativePE):
    def _process(self, data):
        self.write("output", [data, threading.Lock()])


class Returns(IterativePE):
    def _process(self, data):
        return [data, threading.Lock()]


class HasNoLine(IterativePE):
    _process = staticmethod(len)


class WrongResult(IterativePE):
    def process(self, inputs):
        return 5


class Group(IterativePE):
    def _process(self, data):
        errors = []
        for wrong in ("a", "b"):
            try:
                int(wrong)
            except ValueError as error:
                errors.append(error)
        raise ExceptionGroup("two", errors)


class Counts(IterativePE):
    number = 0

    def _process(self, data):
        self.number += 1


class IsInterrupted(IterativePE):
    def _process(self, data):
        signal.raise_signal(signal.SIGINT)


class Lost:
    """A mapping that loses a worker, a service or is interrupted as it waits."""

    name = "lost"
    capabilities = frozenset()

    def __init__(self, error):
        self.error = error

    def add_arguments(self, parser):
        pass

    def run(self, graph, inputs, options):
        try:
            open_connection()
        except OSError as error:
            raise self.error from error


def open_connection():
    raise ConnectionRefusedError("refused")


def graph_of(pe):
    graph = WorkflowGraph()
    graph.connect(Count(), "output", pe, "input")
    return graph


def failing(pe):
    with pytest.raises(ProcessingError) as caught:
        run(graph_of(pe))
    return caught.value


@pytest.mark.parametrize("pe", [Chained, Writes, Returns, HasNoLine, WrongResult, Group])
def test_c3_a_mistake_of_the_user_shows_no_frame_of_d4py(pe):
    error = failing(pe())

    assert "dispel4py/" not in error.user_traceback
    assert error.has_frames == (pe in (Chained, Writes, Group))


def test_c3_the_lines_of_the_user_are_shown_with_their_causes():
    text = failing(Chained()).user_traceback

    for line in ('return {}["calibration"]', "self.read()", "direct cause", "in read"):
        assert line in text
    assert text.endswith("ValueError: no calibration\n")


def test_c3_members_of_a_group_are_shown():
    text = failing(Group()).user_traceback

    assert text.count("int(wrong)") == 2


def test_what_d4py_says_is_said_once():
    text = failing(Writes()).user_traceback

    assert "self.write(" in text
    assert "direct cause" not in text
    assert text.count("cannot pickle") == 1


def test_a_fault_in_the_midst_of_d4py_keeps_its_frames():
    with pytest.raises(TypeError) as caught:
        name_list(5)
    caught.value.__traceback__ = caught.value.__traceback__.tb_next  # without this test itself

    assert "errors.py" in format_user_traceback(caught.value)


def test_a_failed_run_shows_no_frame_of_d4py_before_the_call_of_run():
    frames = failing(Chained()).__traceback__

    assert frames.tb_frame.f_code.co_name == "failing"
    assert frames.tb_next is None


@pytest.mark.parametrize("pe", [Chained, Writes, Group])
def test_c3_the_exception_of_a_pe_begins_with_a_frame_of_its_code(pe):
    frames = failing(pe()).__cause__.__traceback__

    assert frames.tb_frame.f_code.co_filename == __file__


def test_where_it_was_pickled_the_traceback_is_shown_below():
    error = failing(Chained())
    assert not hasattr(error, "__notes__")

    (note,) = pickle.loads(pickle.dumps(error)).__notes__
    assert note.startswith("The traceback of Chained1:\nTraceback (most recent call last):\n")
    assert 'return {}["calibration"]' in note

    assert not hasattr(pickle.loads(pickle.dumps(failing(Returns()))), "__notes__")


def test_lines_that_only_this_process_knows_are_filled_in(monkeypatch):
    lines = ["x = 1\n", "  1 / 0\n"]
    monkeypatch.setitem(linecache.cache, "<cell 3>", (9, None, lines, "<cell 3>"))
    text = (
        'Traceback (most recent call last):\n  File "<cell 3>", line 2, in f\n'
        '  File "/there.py", line 7, in g\n    known()\nZeroDivisionError\n'
    )

    assert with_source(text) == text.replace("in f\n", "in f\n    1 / 0\n")


@pytest.mark.parametrize("wrong", [{"inputs": {"Nobody": 3}}, {"mapping": "simpel"}, {"seed": -1}])
def test_a_wrong_call_shows_no_frame_of_d4py_below_the_call_of_run(wrong):
    with pytest.raises(UsageError) as caught:
        run(graph_of(Chained()), **wrong)

    assert caught.value.__traceback__.tb_next is None


def test_undeclared_state_shows_no_frame_of_d4py_below_the_call_of_run():
    with pytest.raises(UndeclaredStateError) as caught:
        run(graph_of(Counts()), inputs=3, strict=True)

    assert caught.value.__traceback__.tb_next is None


@pytest.mark.parametrize("error", [WorkerLostError(1, 2, "killed"), ServiceError("refused")])
def test_what_is_lost_shows_no_frame_of_d4py_below_the_call_of_run(error):
    with pytest.raises(type(error)) as caught:
        run(graph_of(Counts()), Lost(error))

    assert caught.value.__traceback__.tb_next is None


def test_the_cause_of_a_failed_service_has_no_frames():
    with pytest.raises(ServiceError) as caught:
        run(graph_of(Counts()), Lost(ServiceError("refused")))

    assert str(caught.value.__cause__) == "refused"
    assert caught.value.__cause__.__traceback__ is None


def test_ctrl_c_shows_where_the_pe_was_and_no_frame_of_d4py():
    with pytest.raises(KeyboardInterrupt) as caught:
        run(graph_of(IsInterrupted()))

    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[1] == "_process"
    assert "dispel4py/" not in "".join(traceback.format_tb(caught.value.__traceback__))


def test_ctrl_c_in_the_midst_of_d4py_shows_the_call_of_run_alone():
    with pytest.raises(KeyboardInterrupt) as caught:
        run(graph_of(Counts()), Lost(KeyboardInterrupt()))

    assert caught.value.__traceback__.tb_next is None
