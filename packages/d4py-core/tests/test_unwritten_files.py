"""I10: what files have buffered when a process is forked, and when a worker ends."""

import bz2
import gc
import gzip
import io
import lzma
import os
import shelve
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

import pytest

from dispel4py.files import unwritten_files
from dispel4py.files.unwritten_files import note_open_files, write_before_fork, write_open_files

#: Python's collector closes what tests leave open, and warns.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def nothing_noted(monkeypatch):
    for name in ("_noted", "_inherited"):
        monkeypatch.setattr(unwritten_files, name, WeakValueDictionary())
    monkeypatch.setattr(unwritten_files, "_foreign", set())
    yield
    gc.collect()  # here, not in the middle of another test


def read_zip(path):
    with zipfile.ZipFile(path) as archive:
        return archive.read("member")


def open_in_zip(path):
    return io.TextIOWrapper(zipfile.ZipFile(path, "w").open("member", "w"))


def open_over_another(path):
    return io.TextIOWrapper(gzip.GzipFile(mode="wb", fileobj=open(path, "wb")))


@pytest.mark.parametrize(
    ("make", "read"),
    [
        (partial(io.open, mode="w"), Path.read_bytes),
        (partial(io.open, mode="w+"), Path.read_bytes),
        (partial(gzip.open, mode="wt"), lambda path: gzip.decompress(path.read_bytes())),
        (partial(bz2.open, mode="wt"), lambda path: bz2.decompress(path.read_bytes())),
        (partial(lzma.open, mode="wt"), lambda path: lzma.decompress(path.read_bytes())),
        (open_over_another, lambda path: gzip.decompress(path.read_bytes())),
        (open_in_zip, read_zip),
    ],
    ids=["text", "update", "gzip", "bz2", "lzma", "over another file", "member of an archive"],
)
def test_a_file_of_any_kind_can_be_read(tmp_path, make, read):
    file = make(tmp_path / "out")
    file.write("lines\n")
    note_open_files()
    assert write_open_files() == []
    assert read(tmp_path / "out") == b"lines\n"


def test_a_shelf_has_what_was_changed_in_it(tmp_path):
    shelf = shelve.open(str(tmp_path / "shelf"), writeback=True)  # noqa: SIM115
    shelf["list"] = [1]
    shelf["list"].append(2)
    note_open_files(always=True)
    assert write_open_files() == []
    with shelve.open(str(tmp_path / "shelf")) as again:
        assert again["list"] == [1, 2]
    assert write_open_files() == []  # closed twice
    del shelf


def test_a_tar_archive_can_be_read(tmp_path):
    archive = tarfile.open(tmp_path / "out.tar.gz", "w:gz")  # noqa: SIM115
    archive.addfile(tarfile.TarInfo("member"))
    note_open_files(always=True)
    assert write_open_files() == []
    with tarfile.open(tmp_path / "out.tar.gz") as again:
        assert again.getnames() == ["member"]
    del archive


def test_files_of_hdf5_and_parquet_can_be_read(tmp_path):
    """In a process of its own: the libraries start threads when they are imported."""
    pytest.importorskip("h5py")
    pytest.importorskip("pyarrow")
    program = """
        import os
        import h5py, pyarrow, pyarrow.parquet
        from dispel4py.files.unwritten_files import note_open_files, write_open_files

        table = pyarrow.table({"x": [1, 2]})
        kept = h5py.File("out.h5", "w"), pyarrow.parquet.ParquetWriter("out.parquet", table.schema)
        kept[0]["x"] = [1, 2]
        kept[1].write_table(table)
        closed = h5py.File("closed.h5", "w")
        closed.close()
        note_open_files()
        print(write_open_files(), flush=True)
        os._exit(0)
        """
    reader = """
        import h5py, pyarrow.parquet

        print(h5py.File("out.h5")["x"][:].tolist(), pyarrow.parquet.read_table("out.parquet")["x"])
        """
    outputs = [
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=tmp_path,
            timeout=60,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        for code in (program, reader)
    ]
    assert outputs[0] == "[]\n"
    assert outputs[1].startswith("[1, 2] [")


def test_a_file_that_only_a_cycle_refers_to_is_found(tmp_path):
    holder = [(tmp_path / "out").open("w")]
    holder[0].write("lines")
    holder.append(holder)
    note_open_files()
    del holder
    write_open_files()
    assert (tmp_path / "out").read_text() == "lines"


def test_what_is_closed_detached_or_read_is_left_alone(tmp_path):
    closed = (tmp_path / "closed").open("w")
    detached = (tmp_path / "detached").open("w")
    note_open_files(always=True)
    closed.close()
    raw = detached.detach()
    with (tmp_path / "closed").open() as read:
        note_open_files(always=True)
        assert write_open_files() == []
        assert not read.closed
    raw.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_what_cannot_be_written_is_named_once():
    file = open("/dev/full", "w")  # noqa: SIM115
    file.write("lines")
    note_open_files(always=True)
    (problem,) = write_open_files()
    assert problem == (
        "cannot write buffered data to the file '/dev/full': OSError: [Errno 28] No space left on"
        " device"
    )
    with pytest.raises(OSError, match="No space"):
        file.close()


def test_a_file_that_is_sent_when_it_is_closed_is_closed():
    sent = []

    class Remote(io.RawIOBase):
        def writable(self):
            return True

        def close(self):
            if not self.closed:
                sent.append("closed")
            super().close()

    remote = Remote()
    note_open_files(always=True)
    write_open_files()
    assert sent == ["closed"]
    del remote


@pytest.mark.skipif(sys.platform != "linux", reason="lists its descriptors in /proc")
class TestLooking:
    """Many objects take 20 ms to look through, so that is done for a new file only."""

    @pytest.fixture
    def looks(self, monkeypatch):
        """How often objects were looked through, a list."""
        note_open_files(always=True)  # for files of pytest
        looks = []
        get_objects = gc.get_objects

        def counted():
            looks.append("look")
            return get_objects()

        monkeypatch.setattr(unwritten_files.gc, "get_objects", counted)
        return looks

    def test_no_object_is_looked_at_without_a_new_file(self, tmp_path, looks):
        note_open_files()
        with open(tmp_path / "deleted", "w"):
            os.unlink(tmp_path / "deleted")
            note_open_files()
        (tmp_path / "read").write_text("lines")
        with open(tmp_path / "read"):
            note_open_files()
        assert not looks

    def test_they_are_looked_at_once_for_a_file(self, tmp_path, looks):
        with open(tmp_path / "out", "w") as file:
            note_open_files()
            note_open_files()
            assert looks == ["look"]
            assert file in unwritten_files._noted.values()

    def test_and_once_for_one_that_is_no_object_of_python(self, tmp_path, looks):
        descriptor = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
        note_open_files()
        note_open_files()
        assert looks == ["look"]
        os.close(descriptor)

    def test_a_file_that_is_opened_again_is_another(self, tmp_path, looks):
        first = open(tmp_path / "out", "w")  # noqa: SIM115
        note_open_files()
        number = first.fileno()
        first.close()
        with open(tmp_path / "out", "a") as again:
            assert again.fileno() == number
            note_open_files()
            assert again in unwritten_files._noted.values()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize(
    ("make", "mode", "has_both"),
    [(io.open, "w", True), (io.open, "w+", False), (gzip.open, "wt", False)],
    ids=["text", "update", "gzip"],
)
def test_a_forked_process_writes_its_own_lines_if_they_can_follow_those_of_its_parent(
    tmp_path, make, mode, has_both
):
    file = make(tmp_path / "out", mode)
    file.write("parent\n")
    write_before_fork()
    pid = os.fork()
    if not pid:
        file.write("child\n")
        write_open_files()
        os._exit(0)
    os.waitpid(pid, 0)
    file.close()
    data = (tmp_path / "out").read_bytes()
    if make is gzip.open:
        data = gzip.decompress(data)
    assert data == (b"parent\nchild\n" if has_both else b"parent\n")


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.parametrize("fails", [False, True], ids=["done", "failed"])
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_write_their_files_however_they_are_started(tmp_path, method, fails):
    program = f"""
        import sys
        from dispel4py.processes.garbage import imported_exempt
        from dispel4py.processes.workers.pool import WorkerPool
        from dispel4py.processes.workers.start_methods import Start

        log = open("log", "a")
        log.write("header\\n")
        kept = []

        def main(context, number):
            with imported_exempt():
                log.write(f"line {{number}}\\n")
                kept.append(open(f"own{{number}}", "w"))
                kept[0].write("own")
                if {fails} and number == 0:
                    raise ValueError("of the worker")

        if __name__ == "__main__":
            pool = WorkerPool(main, [(0,), (1,)][:{1 if fails else 2}], Start({method!r}))
            try:
                pool.wait_until_ended()
            except Exception as error:
                print(error)
            pool.stop()
        """
    (tmp_path / "program.py").write_text(textwrap.dedent(program))
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        timeout=60,
        check=True,
        capture_output=True,
        text=True,
    )
    workers = 1 if fails else 2
    assert ("of the worker" in done.stdout) is fails
    lines = (tmp_path / "log").read_text().splitlines()
    assert sorted(set(lines)) == ["header", *(f"line {n}" for n in range(workers))]
    assert lines.count("header") == (1 if method == "fork" else 1 + workers)
    assert len(lines) == lines.count("header") + workers
    assert [(tmp_path / f"own{n}").read_text() for n in range(workers)] == ["own"] * workers


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_worker_finalizes_what_it_has_made_and_leaves_the_rest_to_its_parent(tmp_path):
    program = """
        import gc, os
        from dispel4py.processes.garbage import imported_exempt
        from dispel4py.processes.workers.pool import WorkerPool
        from dispel4py.processes.workers.start_methods import Start

        class InACycle:
            def __init__(self, name):
                self.name, self.me = name, self

            def __del__(self):
                os.write(1, f"{self.name} in {os.getpid()}\\n".encode())

        def main(context):
            with imported_exempt():
                InACycle("worker")

        gc.disable()
        InACycle("parent")
        pool = WorkerPool(main, [()], Start("fork"))
        pool.wait_until_ended()
        pool.stop()
        gc.collect()
        print(pool.pids[0], os.getpid())
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=tmp_path,
        timeout=60,
        check=True,
        capture_output=True,
        text=True,
    )
    *found, pids = done.stdout.splitlines()
    worker, parent = pids.split()
    assert found == [f"worker in {worker}", f"parent in {parent}"]
