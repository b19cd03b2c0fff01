"""Files that a PE holds: which are found, closed, flushed and left alone."""

import gc
import io
import os

import pytest
from core_helpers.file_writers import Count, Holds

from dispel4py import GenericPE
from dispel4py.files.reachable_files import (
    close_or_flush,
    overwritable,
    reachable_files,
)

#: Files that are left in a cycle are closed by Python's collector, which warns.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def collected():
    """What a test leaves to the collector is collected here, not in the middle of another test."""
    yield
    gc.collect()


def test_what_is_not_a_writable_file_is_left_alone(tmp_path):
    (tmp_path / "in").write_text("text")
    pe = GenericPE()
    pe.read, pe.closed, pe.detached = (tmp_path / "in").open(), io.StringIO(), io.StringIO()
    pe.closed.close()
    pe.nothing, pe.number, pe.module, pe.kind = None, 1, io, io.StringIO
    broken = io.TextIOWrapper(io.BytesIO())
    broken.detach()
    pe.detached = broken
    assert reachable_files(pe) == []
    pe.read.close()


def test_a_large_state_costs_no_time_to_look_through():
    pe = GenericPE()
    looked_at = []

    class Looked(list):
        def __iter__(self):
            for member in super().__iter__():
                looked_at.append(1)
                yield member

    pe.state = Looked([0] * 100_000)
    reachable_files(pe)
    assert len(looked_at) <= 1000


def test_the_first_error_is_raised_and_all_files_are_closed(tmp_path):
    class Bad(io.StringIO):
        def close(self):
            if not self.closed:
                closed.append(self.name)
                super().close()
                raise OSError(self.name)

    closed: list[str] = []

    files = [Bad(), Bad()]
    files[0].name, files[1].name = "first", "second"
    with pytest.raises(OSError, match="first"):
        close_or_flush(files)
    assert closed == ["first", "second"]


def test_i10_files_of_the_run_itself_are_not_the_pes(tmp_path):
    """A PE leads to its runner by its own attributes, and from there to all the others."""
    with (tmp_path / "out").open("w") as file:
        pe = Count()
        pe._run_writer = Holds._process.__get__(file)
        pe.wrapped = Count()
        pe.wrapped._run_log = file.write
        assert reachable_files(pe) == []
        pe.wrapped.out = file.write
        assert reachable_files(pe) == [file]


def test_i6_files_that_another_instance_would_overwrite(tmp_path):
    with (
        (tmp_path / "out").open("w") as written,
        (tmp_path / "out").open("r+b") as again,
        (tmp_path / "log").open("a") as appended,
        open(os.devnull, "w") as nowhere,
    ):
        found = overwritable([written, again, appended, nowhere, io.StringIO()])
    (name,) = found.values()
    assert name == str(tmp_path / "out")
