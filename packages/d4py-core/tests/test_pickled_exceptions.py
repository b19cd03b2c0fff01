"""Exceptions arrive in other processes with their types, attributes, causes and notes."""

import asyncio
import pickle
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from dispel4py.errors import ProcessingError
from dispel4py.exceptions.pickled_exceptions import (
    UnpicklableError,
    pickle_exception,
    unpickle_exception,
)


class DetectorError(Exception):
    """Is made of other things than its `args`; each time it is made is counted."""

    made = 0

    def __init__(self, channel, *, voltage):
        super().__init__(f"channel {channel} is at {voltage} V")
        self.channel, self.voltage = channel, voltage
        DetectorError.made += 1


class ConnectError(OSError):
    """As those of many libraries: an OSError with a constructor of its own."""

    def __init__(self, host):
        super().__init__(111, "refused", host)
        self.host = host


class StubbornError(Exception):
    """Cannot be pickled."""

    def __reduce__(self):
        raise asyncio.CancelledError("not by me")


class ForeignError(Exception):
    """Cannot be made again."""

    def __reduce__(self):
        return _explode, ()


class DisguisedError(Exception):
    """Is something else once it is pickled."""

    def __reduce__(self):
        return dict, ()


class Batch(ExceptionGroup):
    def __new__(cls, errors, number):
        made = super().__new__(cls, f"batch {number}", errors)
        made.number = number
        return made

    def __init__(self, errors, number):
        pass

    def derive(self, errors):
        return Batch(errors, self.number)


def _explode():
    raise SystemExit("made again")


def carried(error):
    return unpickle_exception(pickle_exception(error))


def raised(error, cause=None):
    try:
        raise error from cause
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    "error",
    [
        ValueError("boom"),
        KeyError("k"),
        asyncio.CancelledError("cancelled"),
        KeyboardInterrupt(),
        SystemExit(3),
        OSError(2, "No such file or directory", "/x"),
        subprocess.CalledProcessError(1, ["ls"]),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        ConnectError("example.org"),
        DetectorError(7, voltage=2.5),
    ],
    ids=lambda error: type(error).__name__,
)
def test_type_message_arguments_and_attributes_arrive(error):
    found = carried(error)

    assert type(found) is type(error)
    assert (str(found), found.args, vars(found)) == (str(error), error.args, vars(error))


def test_a_class_written_in_python_is_not_called_again():
    error = DetectorError(7, voltage=2.5)
    made = DetectorError.made

    assert carried(error).channel == 7
    assert DetectorError.made == made


def test_causes_contexts_and_notes_arrive():
    error = raised(DetectorError(7, voltage=2.5), raised(KeyError("k"), OSError("disk")))
    error.add_note("at night")
    error.__context__ = ValueError("before")

    found = carried(error)

    assert found.__notes__ == ["at night"]
    assert repr(found.__cause__) == "KeyError('k')"
    assert repr(found.__cause__.__cause__) == "OSError('disk')"
    assert repr(found.__context__) == "ValueError('before')"
    assert found.__suppress_context__
    assert not carried(ValueError()).__suppress_context__


def test_groups_arrive_with_their_members():
    inner = raised(DetectorError(7, voltage=2.5), KeyError("k"))
    found = carried(Batch([inner, ExceptionGroup("inner", [ValueError(1)])], 3))

    assert type(found) is Batch
    assert (found.message, found.number) == ("batch 3", 3)
    assert (found.exceptions[0].channel, repr(found.exceptions[0].__cause__)) == (
        7,
        "KeyError('k')",
    )
    assert repr(found.exceptions[1].exceptions) == "(ValueError(1),)"


def test_what_leads_back_to_itself_arrives():
    error = ValueError("boom")
    error.self = error
    error.__context__ = KeyError("k")
    error.__context__.__cause__ = error

    found = carried(error)

    assert found.self is found
    assert found.__context__.__cause__ is found


def test_attributes_that_cannot_be_pickled_are_left_out():
    error = ValueError("boom")
    error.lock, error.code = threading.Lock(), 5

    assert vars(carried(error)) == {"code": 5}


@pytest.mark.parametrize(
    "error",
    [
        StubbornError("boom"),
        ForeignError("boom"),
        DisguisedError("boom"),
        ValueError(threading.Lock()),
    ],
    ids=["cannot be pickled", "cannot be made", "is none", "an argument"],
)
def test_an_unpicklable_exception_is_none(error):
    assert pickle_exception(error) is None


def test_an_unpicklable_cause_is_replaced_by_its_text():
    found = carried(raised(ValueError("boom"), raised(StubbornError("disk"), KeyError("k"))))

    assert type(found) is ValueError
    assert type(found.__cause__) is UnpicklableError
    assert str(found.__cause__) == f"{__name__}.StubbornError: disk"
    assert repr(found.__cause__.__cause__) == "KeyError('k')"


def test_a_cause_that_cannot_be_made_again_is_left_out():
    found = carried(raised(ValueError("boom"), ForeignError("disk")))

    assert repr(found) == "ValueError('boom')"
    assert found.__cause__ is None


def test_a_chain_that_is_too_long_is_left_out():
    error = None
    for number in range(10_000):
        error = raised(ValueError(number), error)

    assert carried(error).args == (9999,)


def test_a_class_that_is_not_there_leaves_the_error_as_it_is():
    error = ProcessingError.of(DetectorError(7, voltage=2.5), "Read1", 0, "process", 3)
    script = (
        "import pickle, sys; error = pickle.load(sys.stdin.buffer); print(error.__cause__, error)"
    )

    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        input=pickle.dumps(error),
        capture_output=True,
        check=True,
    )

    assert done.stdout.decode().startswith("None Read1 (instance 0) failed in process at item 3: ")


def test_an_error_arrives_with_its_cause_however_often_it_is_pickled():
    error = ProcessingError.of(raised(DetectorError(7, voltage=2.5)), "Read1", 0, "process", 3)

    found = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(error))))

    assert found.__cause__.channel == 7
    assert found.exception_type == f"{__name__}.DetectorError"
    assert len(found.__notes__) == 1
    assert "raise error from cause" in found.__notes__[0]


def test_an_attribute_with_an_exception_in_it_arrives():
    error = ValueError("boom")
    error.inside = SimpleNamespace(cause=raised(DetectorError(7, voltage=2.5)))

    assert carried(error).inside.cause.channel == 7
