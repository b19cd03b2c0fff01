"""How tests wait for the end of processes, files and keys."""

import os
import sys

import pytest

from d4py_conformance import waiting
from d4py_conformance.subprocesses.programs import Command
from d4py_conformance.waiting import wait_until_none


def test_the_wait_ends_when_nothing_is_left():
    left = ["first", "second"]
    wait_until_none(lambda: [left.pop()] if left else [], "the end of both")
    assert left == []


def test_a_wait_in_vain_lists_what_is_left(monkeypatch):
    monkeypatch.setattr(waiting, "LIMIT", 0.0)
    with pytest.raises(AssertionError, match=r"in vain: the deletion; left: key-1, key-2$"):
        wait_until_none(lambda: iter(["key-1", "key-2"]), "the deletion")


def test_a_process_that_does_not_end_is_listed_with_its_command_line(monkeypatch):
    code = "import sys; print(flush=True); sys.stdin.read()"
    with Command(
        [sys.executable, "-c", code, "endless"], os.environ, stdin=-1, stdout=-1
    ) as command:
        command.stdout.readline()
        monkeypatch.setattr(waiting, "LIMIT", 0.0)
        with pytest.raises(AssertionError, match=rf"process {command.pid}: .*endless"):
            command.wait_until_gone()
        command.kill()
