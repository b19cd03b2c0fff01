"""I9: an open file is carried with its place, or refused by name; never opened by its mode."""

import gzip
import os
import pickle
import sys
import tempfile
from functools import partial
from io import BytesIO, StringIO

import pytest

from dispel4py import WorkflowGraph, run
from dispel4py.base import IterativePE
from dispel4py.engine.items.codec import Codec
from dispel4py.engine.items.reorder_buffer import OrderedSnapshot
from dispel4py.errors import GraphError, ItemError, RunError

LINES = [f"{n} é\n" for n in range(3000)]
CODEC = Codec()


class Holds(IterativePE):
    def __init__(self, file):
        super().__init__()
        self.file = file


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes("".join(LINES).replace("\n", "\r\n").encode())
    return path


def carried(file):
    return CODEC.loads(CODEC.dumps_state(Holds(file))).file


@pytest.mark.parametrize("lines", [0, 1, 1234, 3000])
@pytest.mark.parametrize(
    "how",
    [
        {"mode": "r"},
        {"mode": "r", "newline": ""},
        {"mode": "r", "encoding": "latin-1", "errors": "replace"},
        {"mode": "rb"},
        {"mode": "rb", "buffering": 0},
    ],
    ids=["text", "as-it-is", "latin-1", "binary", "raw"],
)
def test_i9_a_file_that_is_read_goes_on_where_it_was(path, how, lines):
    with open(path, **how) as file:
        for _ in range(lines):
            file.readline()
        with carried(file) as other:
            assert (other.name, other.mode, type(other)) == (file.name, file.mode, type(file))
            assert other.tell() == file.tell()
            assert other.read() == file.read()


def test_i9_so_it_does_in_another_encoding(tmp_path):
    path = tmp_path / "lines"
    path.write_text("".join(LINES), encoding="utf-16")
    with path.open(encoding="utf-16") as file:
        assert [file.readline() for _ in range(1000)] == LINES[:1000]
        with carried(file) as other:
            assert [*other] == LINES[1000:]


def test_i9_a_relative_name_leads_to_the_same_file_elsewhere(path, tmp_path, monkeypatch):
    monkeypatch.chdir(path.parent)
    with open(path.name) as file:
        file.readline()
        data = CODEC.dumps_state(Holds(file))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with CODEC.loads(data).file as other:
        assert other.readline() == LINES[1]
        with carried(other) as third:  # and again from there
            assert (third.name, third.readline()) == (path.name, LINES[2])


def test_i9_a_closed_file_stays_closed(path):
    with path.open() as file, path.open("ab") as binary:
        pass
    assert (carried(file).closed, carried(file).name, carried(file).mode) == (True, str(path), "r")
    assert (carried(binary).closed, carried(binary).name) == (True, str(path))


def test_i9_standard_streams_are_those_of_the_process():
    assert carried(sys.__stderr__) is sys.__stderr__


@pytest.mark.parametrize("wrap", [lambda held: held, lambda held: partial(print, file=held)])
def test_i9_so_are_those_that_a_pe_holds_before_the_run(wrap):
    held = wrap(sys.__stderr__)
    made = CODEC.loads(CODEC.dumps_pe(Holds(held))).file
    stream = made.keywords["file"] if isinstance(made, partial) else made
    assert stream is sys.__stderr__


def test_i9_what_is_in_memory_goes_with_its_place():
    text, data = StringIO("one\ntwo\n"), BytesIO(b"one\ntwo\n")
    text.readline()
    data.readline()
    assert (carried(text).readline(), carried(data).readline()) == ("two\n", b"two\n")


@pytest.mark.parametrize("mode", ["w", "wb", "a", "r+", "r+b", "ab"])
def test_i9_a_file_that_is_written_is_refused_by_name(path, mode):
    with path.open(mode) as file:
        file.flush()
        before = path.read_bytes()
        with pytest.raises(ItemError) as refused:
            CODEC.dumps_state(Holds(file))
    text = str(refused.value)
    assert "attribute 'file'" in text
    assert str(path) in text
    assert f"mode {file.mode!r}" in text
    assert path.read_bytes() == before


def test_i9_a_pe_in_order_that_writes_a_file_is_refused_by_attribute(path):
    with open(path, "r+") as file:
        kept = OrderedSnapshot(Holds(file), 0, 0, None)
        with pytest.raises(ItemError, match=r"of type Holds .* attribute 'file'.*mode 'r\+'"):
            CODEC.dumps_state(kept)


def test_i9_simple_names_the_file_and_its_mode_too(path):
    graph = WorkflowGraph()
    with open(path, encoding="utf-8") as file:
        graph.add(Holds(file))
        with pytest.raises(GraphError, match=r"attribute 'file'.*lines' \(mode 'r'\) is open"):
            run(graph, mapping="simple", inputs=[{"input": 1}])


def test_i9_a_loop_over_lines_is_refused_with_what_to_do(path):
    with path.open() as file:
        next(file)
        with pytest.raises(ItemError, match=r"read the lines with readline\(\)"):
            CODEC.dumps_state(Holds(file))
        for _ in file:
            pass
        carried(file).close()


@pytest.mark.parametrize("kind", ["pipe", "temporary", "gzip", "newline", "device", "replaced"])
def test_i9_what_has_no_place_to_go_back_to_is_refused(path, kind, tmp_path):
    if kind == "pipe":
        reader, writer = os.pipe()
        os.close(writer)
        file = os.fdopen(reader)
    elif kind == "temporary":
        file = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed below
    elif kind == "gzip":
        with gzip.open(tmp_path / "packed.gz", "wt") as packed:
            packed.write("a\n")
        file = gzip.open(tmp_path / "packed.gz", "rt")  # noqa: SIM115
        file.readline()
    elif kind == "newline":
        file = path.open(newline="\n")
    elif kind == "device":
        file = open(os.devnull)  # noqa: SIM115
    else:
        file = path.open()
        path.rename(tmp_path / "moved")
        path.write_text("another\n")
    with file, pytest.raises(ItemError, match="attribute 'file'"):
        CODEC.dumps_state(Holds(file))


@pytest.mark.parametrize("change", ["gone", "replaced", "shorter"])
def test_i9_a_file_that_has_changed_is_an_error(path, tmp_path, change):
    with path.open() as file:
        file.readline()
        data = CODEC.dumps_state(Holds(file))
        if change == "shorter":
            os.truncate(path, 5)
        else:
            path.rename(tmp_path / "moved")
            if change == "replaced":
                path.write_bytes((tmp_path / "moved").read_bytes())
        why = {"gone": "No such file", "replaced": "another file", "shorter": "shorter"}[change]
        with pytest.raises(RunError, match=f"{path}.*{why}"):
            CODEC.loads(data)


def test_i9_a_file_that_has_grown_is_the_same(path):
    with path.open() as file, path.open("a") as more:
        file.read()
        data = CODEC.dumps_state(Holds(file))
        more.write("more\n")
        more.flush()
        with CODEC.loads(data).file as other:
            assert other.read() == "more\n"


@pytest.mark.parametrize("mode", ["r", "w"])
def test_i9_neither_plans_nor_items_carry_an_open_file(path, mode):
    def fallback(file, files, beside):
        """Takes whatever it is not told to refuse."""
        pickler = pickle._Pickler(file, protocol=5)
        pickler.reducer_override = lambda value: files.get(type(value), missing)(value)
        return pickler

    def missing(value):
        return NotImplemented

    codec = Codec(fallback)
    with path.open(mode) as file:
        for dumps in (codec.dumps_pe, codec.dumps):
            with pytest.raises(ItemError, match="is open"):
                dumps(Holds(file))
