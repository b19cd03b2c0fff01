"""I10: what a PE has left in open files is written when its instance is done."""

import bz2
import csv
import functools
import gc
import gzip
import lzma
import sys
import threading
import weakref
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from core_helpers.file_writers import Count, Holds

from dispel4py import IterativePE, WorkflowGraph, run
from dispel4py.errors import ProcessingError, RunError, UndeclaredStateError
from dispel4py.new.monitoring import ProcessTimingPE

#: Files that are left in a cycle are closed by Python's collector, which warns.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def collected():
    """What a test leaves to the collector is collected here, not in the middle of another test."""
    yield
    gc.collect()


LINES = [f"line {n}\n" for n in range(1, 201)]
NO_SPACE = Path("/dev/full")


class InACycle(Holds):
    def _preprocess(self):
        super()._preprocess()
        self.me = self


class InContainers(Holds):
    def _preprocess(self):
        super()._preprocess()
        self.by_name = {"stations": [(self.file,)]}
        self.me = self
        del self.file

    def _process(self, data):
        self.by_name["stations"][0][0].write(f"line {data}\n")


class BehindCsv(Holds):
    def _preprocess(self):
        self.table = csv.writer(open(self.path, "w"), lineterminator="\n")  # noqa: SIM115
        self.out = lambda line: self.table.writerow([line.rstrip()])


class BehindADictWriter(Holds):
    def _preprocess(self):
        self.table = csv.DictWriter(open(self.path, "w"), ["a"], lineterminator="\n")  # noqa: SIM115
        self.out = lambda line: self.table.writerow({"a": line.rstrip()})


class BehindAPartial(Holds):
    def _preprocess(self):
        self.out = functools.partial(print, file=open(self.path, "w"), end="")  # noqa: SIM115


class BehindAFunction(Holds):
    def _preprocess(self):
        file = open(self.path, "w")  # noqa: SIM115
        self.out = lambda line: file.write(line) and None


class Gzipped(Holds):
    opened = staticmethod(gzip.open)


class Bzipped(Holds):
    opened = staticmethod(bz2.open)


class Xzipped(Holds):
    opened = staticmethod(lzma.open)


class Zipped(Holds):
    def _preprocess(self):
        self.archive = zipfile.ZipFile(self.path, "w")

    def _process(self, data):
        self.archive.writestr(f"{data:03}", f"line {data}\n")


def zipped_lines(path):
    with zipfile.ZipFile(path) as archive:
        return "".join(archive.read(name).decode() for name in sorted(archive.namelist()))


def opened_lines(opened):
    def lines(path):
        with opened(path, "rt") as file:
            return file.read()

    return lines


READERS = {
    Gzipped: opened_lines(gzip.open),
    Bzipped: opened_lines(bz2.open),
    Xzipped: opened_lines(lzma.open),
    Zipped: zipped_lines,
}


def run_consumer(pe, count=200, **options):
    graph = WorkflowGraph()
    graph.connect(Count(), "output", pe, "input")
    return graph, run(graph, inputs=count, **options)


@contextmanager
def no_collection():
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("keeps_graph", [True, False])
@pytest.mark.parametrize(
    "kind",
    [
        *(Holds, InACycle, InContainers, BehindCsv, BehindADictWriter),
        *(BehindAPartial, BehindAFunction),
        *(Gzipped, Bzipped, Xzipped, Zipped),
    ],
)
def test_i10_all_lines_are_there_when_the_run_is_over(tmp_path, kind, keeps_graph):
    path = tmp_path / "out"
    with no_collection():
        kept, _ = run_consumer(kind(path))
        if not keeps_graph:
            del kept
        reader = READERS.get(kind, Path.read_text)
        assert reader(path) == "".join(LINES)


def test_i10_the_file_is_closed_and_the_pe_is_gone(tmp_path):
    files, pes = [], []

    class Known(Holds):
        def _preprocess(self):
            super()._preprocess()
            files.append(weakref.ref(self.file))
            pes.append(weakref.ref(self))

    with no_collection():
        run_consumer(Known(tmp_path / "out"))
        assert [reference() for reference in files + pes] == [None, None]


def test_i10_so_it_is_for_a_pe_that_wraps_another(tmp_path):
    path = tmp_path / "out"
    with no_collection():
        run_consumer(ProcessTimingPE(Gzipped(path)))
        assert READERS[Gzipped](path) == "".join(LINES)


def test_i10_a_pe_further_down_reads_in_postprocess_what_one_before_it_has_written(tmp_path):
    path = tmp_path / "out"

    class Hands(Holds, IterativePE):
        def __init__(self, path):
            IterativePE.__init__(self)
            self.path = str(path)

        process = IterativePE.process

    class Reads(IterativePE):
        def _process(self, data):
            pass

        def _postprocess(self):
            self.write("output", Path(path).read_text())

    graph = WorkflowGraph()
    hands = Hands(path)
    graph.connect(Count(), "output", hands, "input")
    graph.connect(hands, "output", Reads(), "input")
    assert run(graph, inputs=200).outputs["Reads2"]["output"] == ["".join(LINES)]


def test_i10_lines_are_there_when_a_pe_has_raised(tmp_path):
    class Fails(Holds):
        def _process(self, data):
            if data == 100:
                raise ValueError("broken")
            super()._process(data)

    path = tmp_path / "out"
    with no_collection(), pytest.raises(ProcessingError, match="broken"):
        run_consumer(Fails(path))
    assert path.read_text() == "".join(LINES[:99])


def test_i10_lines_are_there_when_a_failure_was_skipped(tmp_path):
    class Skips(Holds):
        def _process(self, data):
            if data == 100:
                raise ValueError("broken")
            super()._process(data)

    path = tmp_path / "out"
    with no_collection():
        _, result = run_consumer(Skips(path), on_error="skip")
        assert len(result.failures) == 1  # whose traceback refers to the PE
        assert path.read_text() == "".join(LINES[:99] + LINES[100:])


@pytest.mark.skipif(not NO_SPACE.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "kind", [Holds, InACycle, BehindCsv, BehindAPartial, BehindAFunction, Gzipped]
)
def test_i10_a_full_disk_is_an_error_of_the_pe_in_postprocess(kind):
    graph = WorkflowGraph()
    graph.connect(Count(), "output", kind(NO_SPACE), "input")
    with pytest.raises(ProcessingError, match="No space left on device") as caught:
        run(graph, inputs=3)
    assert (caught.value.pe_id, caught.value.phase) == (f"{kind.__name__}1", "postprocess")


@pytest.mark.skipif(not NO_SPACE.exists(), reason="this system has no /dev/full")
def test_i10_and_is_listed_once_where_errors_are_skipped():
    graph = WorkflowGraph()
    graph.connect(Count(), "output", Holds(NO_SPACE), "input")
    (failure,) = run(graph, inputs=3, on_error="skip").failures
    assert "No space left on device" in str(failure.error)


def test_i10_a_file_that_others_hold_too_is_flushed_and_stays_open(tmp_path):
    with (tmp_path / "out").open("w") as shared:
        shared_by_all.append(shared)

        class Shares(Holds):
            def _preprocess(self):
                self.file = shared_by_all[0]
                self.out = self.file.write

        run_consumer(Shares(tmp_path / "out"))
        assert not shared.closed
        assert (tmp_path / "out").read_text() == "".join(LINES)
        shared.write("more\n")
    shared_by_all.clear()


shared_by_all = []


def test_i10_standard_output_stays_open(tmp_path, capsys):
    class Prints(Holds):
        def _preprocess(self):
            self.file = sys.stdout
            self.out = self.file.write

    run_consumer(Prints(tmp_path / "out"), 2)
    assert not sys.stdout.closed
    assert capsys.readouterr().out == "line 1\nline 2\n"


def test_i10_a_thread_goes_on_with_the_file_of_its_pe(tmp_path):
    may_go_on = threading.Event()
    threads = []

    class InBackground(Holds):
        def _postprocess(self):
            threads.append(threading.Thread(target=self.write_more))
            threads[0].start()

        def write_more(self):
            may_go_on.wait(30)
            self.out("more\n")

    path = tmp_path / "out"
    run_consumer(InBackground(path))  # returns at once
    assert path.read_text() == "".join(LINES)
    may_go_on.set()
    threads.pop().join(30)
    assert path.read_text() == "".join(LINES) + "more\n"


def test_i10_a_thread_that_writes_too_late_is_reported(tmp_path):
    may_go_on, errors = threading.Event(), []
    threads = []

    class WritesLate(IterativePE):
        def _postprocess(self):
            threads.append(threading.Thread(target=self.write_more))
            threads[0].start()

        def write_more(self):
            may_go_on.wait(30)
            try:
                self.write("output", 1)
            except Exception as error:
                errors.append(error)

    graph = WorkflowGraph()
    graph.connect(Count(), "output", WritesLate(), "input")
    assert run(graph, inputs=1).outputs == {}
    may_go_on.set()
    threads.pop().join(30)
    (error,) = errors
    assert isinstance(error, RunError)
    assert "WritesLate1 wrote to output 'output' after its postprocess()" in str(error)


@pytest.mark.parametrize("instances", [1, 2])
def test_i6_instances_that_write_to_one_file_are_reported(tmp_path, caplog, instances):
    path = tmp_path / "out"
    pe = Holds(path)
    pe.numprocesses = instances
    graph = WorkflowGraph()
    graph.connect(Count(), "output", pe, "input")
    run(graph, inputs=20)
    logged = [record.getMessage() for record in caplog.records]
    assert len(logged) == instances - 1
    assert all(
        f"several instances of Holds1 had '{path}' open for writing" in text for text in logged
    )
    if instances > 1:
        with pytest.raises(UndeclaredStateError, match="several instances of Holds1"):
            run(graph, inputs=20, strict=True)
