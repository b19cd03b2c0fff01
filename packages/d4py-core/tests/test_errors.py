"""Errors say where, what and why, whatever the user's objects do; and they travel."""

import pickle

import pytest

from dispel4py import errors
from dispel4py.errors import (
    D4pyError,
    GraphError,
    ProcessingError,
    RunError,
    UnknownOutputError,
    UsageError,
)


class Sulky:
    def __repr__(self):
        raise RuntimeError("no name")


ERRORS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, D4pyError)
]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_exit_status_is_2_for_wrong_calls_and_1_for_failed_runs(kind):
    assert kind.exit_status == (2 if issubclass(kind, UsageError) else 1)


def test_unknown_output_is_a_key_error_that_reads_well():
    with pytest.raises(KeyError) as caught:
        raise UnknownOutputError("Two1 has no output 'c'")

    assert str(caught.value) == "Two1 has no output 'c'"
    assert str(pickle.loads(pickle.dumps(caught.value))) == "Two1 has no output 'c'"


def test_hierarchy_in_the_docstring_is_the_one_of_the_classes():
    drawn = [line for line in errors.__doc__.splitlines() if "──" in line]

    assert {line.split("── ")[1].split()[0] for line in drawn} == {
        kind.__name__ for kind in ERRORS if issubclass(kind, UsageError | RunError)
    }


def test_graph_error_with_one_problem_reads_as_that_problem():
    assert str(GraphError(["the graph is empty"])) == "the graph is empty"


def test_graph_error_lists_every_problem():
    error = GraphError(["first", "second"])

    assert error.problems == ("first", "second")
    assert str(error) == "the graph has 2 problems:\n  - first\n  - second"


@pytest.mark.parametrize(
    "error",
    [
        GraphError(["first", "second"]),
        ProcessingError("A0", 1, "process", "5", "ValueError: no", "Traceback …"),
        errors.WorkflowLoadError("it raised", "Traceback …"),
        errors.ItemError("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickling(error):
    carried = pickle.loads(pickle.dumps(error))

    assert type(carried) is type(error)
    assert str(carried) == str(error)
    assert vars(carried).keys() == vars(error).keys()


def test_processing_error_names_pe_instance_phase_item_and_reason():
    error = ProcessingError.of(ValueError("too big"), "Check3", 2, "process", {"x": 7})

    assert str(error) == (
        "Check3 (instance 2) failed in process at item {'x': 7}: ValueError: too big"
    )
    assert isinstance(error.__cause__, ValueError)


def test_processing_error_outside_process_has_no_item():
    error = ProcessingError.of(ValueError("late"), "Check3", 0, "postprocess", "ignored")

    assert error.item is None
    assert str(error) == "Check3 (instance 0) failed in postprocess: ValueError: late"


def test_processing_error_of_an_item_that_is_none_shows_it():
    assert "at item None" in str(ProcessingError.of(ValueError(), "Check3", 0, "process", None))


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**6,
        list(range(10**6)),
        dict.fromkeys(range(1000), "y" * 100),
        [["z"] * 99] * 99,
        10**99,
    ],
    ids=["string", "list", "dict", "nested", "number"],
)
def test_shorten_keeps_to_its_limit(value):
    assert len(errors.shorten(value)) <= 200
    assert len(errors.shorten(value, limit=20)) <= 20


def test_shorten_survives_a_repr_that_raises():
    assert errors.shorten(Sulky()).startswith("<Sulky instance at")
    # Up to Python 3.13, reprlib raises; 3.14 says how many digits there are.
    assert errors.shorten(10**9999).startswith(("<int, whose repr() raised", "<int instance with"))


def test_user_traceback_starts_in_the_code_of_the_user():
    from dispel4py import ConsumerPE

    class Fail(ConsumerPE):
        def _process(self, data):
            return 1 / data

    with pytest.raises(ZeroDivisionError) as raised:
        Fail().process({"input": 0})
    raised.value.__traceback__ = raised.value.__traceback__.tb_next  # without this test itself
    lines = errors.format_user_traceback(raised.value).splitlines()

    assert lines[0].startswith("Traceback")
    assert "test_errors.py" in lines[1]
    assert "in _process" in lines[1]
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_traceback_without_any_frame_of_the_user_is_kept():
    with pytest.raises(TypeError) as raised:
        errors.shorten()

    assert "TypeError" in errors.format_user_traceback(raised.value)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "none"),
        (["a"], "'a'"),
        (["a", "b"], "'a' and 'b'"),
        (["a", "b", "c"], "'a', 'b' and 'c'"),
    ],
)
def test_name_list_reads_as_a_sentence_does(names, text):
    assert errors.name_list(names) == text
