"""Errors that the system causes are no bugs of d4py: what it refuses is named, and the limit."""

import errno
import os
import pickle

import pytest

from dispel4py.exceptions.shortages import shortage
from dispel4py.processes.workers.reports import picklable_error


@pytest.mark.parametrize(
    ("error", "limit"),
    [
        (MemoryError(), "on memory (ulimit -v)"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "on memory (ulimit -v)"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "on open files (ulimit -n)"),
        (RuntimeError("can't start new thread"), "on processes and threads (ulimit -u)"),
    ],
)
def test_what_the_system_refuses_is_named_with_the_limit(error, limit):
    assert limit in shortage(error)
    report = str(pickle.loads(picklable_error(error)))
    assert report.startswith("a worker failed: the system refuses more")
    assert "Traceback" not in report


def test_it_is_found_behind_an_error_that_follows_from_it():
    error = RuntimeError("cannot join thread before it is started")
    error.__context__ = RuntimeError("can't start new thread")
    assert "can't start new thread" in shortage(error)


@pytest.mark.parametrize("error", [ValueError("x"), BlockingIOError(errno.EAGAIN, "try again")])
def test_other_errors_stay_what_they_are(error):
    assert shortage(error) is None
    assert "please report this" in str(pickle.loads(picklable_error(error)))
