"""The lock of a file that one run writes, and those who look whether it is locked."""

import fcntl
from contextlib import ExitStack

import pytest

from d4py_cli.files import locks
from d4py_cli.files.locks import is_locked, lock_for_writing
from dispel4py.errors import OptionError


@pytest.fixture
def opened(tmp_path):
    """Open a file as often as it is called, each with locks of its own."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(open(tmp_path / "events.jsonl", "a+"))


def test_a_run_starts_while_others_look_whether_the_file_is_locked(opened, monkeypatch):
    looking = opened()  # `dispel4py history` in the middle of `is_locked`
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr(locks, "sleep", lambda seconds: fcntl.flock(looking, fcntl.LOCK_UN))
    lock_for_writing(opened(), "events.jsonl", "--log")
    assert is_locked(looking)


def test_one_that_does_not_end_to_look_keeps_it_for_a_limited_time(opened, monkeypatch):
    fcntl.flock(opened(), fcntl.LOCK_SH)  # stopped, say
    monkeypatch.setattr(locks, "_LOOKING_SECONDS", 0.0)
    file = opened()
    with pytest.raises(OptionError, match="another run is writing to it"):
        lock_for_writing(file, "events.jsonl", "--log")
    assert file.closed


def test_a_second_run_is_refused_at_once(opened, monkeypatch):
    monkeypatch.delattr(locks, "sleep")
    lock_for_writing(opened(), "events.jsonl", "--log")
    with pytest.raises(OptionError, match="another run is writing to it"):
        lock_for_writing(opened(), "events.jsonl", "--log")
