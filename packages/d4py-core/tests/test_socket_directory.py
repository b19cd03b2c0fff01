"""Directories for Unix sockets, whose paths are short however long TMPDIR is."""

import errno
import gc
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dispel4py.errors import OptionError
from dispel4py.files import socket_directory
from dispel4py.files.socket_directory import SocketDirectory


@pytest.fixture
def long_folder(monkeypatch, tmp_path):
    """A folder for temporary files as batch systems have it."""
    folder = tmp_path / ("x" * 90)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def bind_in(folder):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/a-name-of-a-socket")


def test_it_is_for_this_user_only():
    with SocketDirectory("d4py-test-") as folder:
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        bind_in(folder)
    assert not folder.exists()


@pytest.mark.usefixtures("long_folder")
def test_a_socket_can_be_bound_there_however_long_the_usual_folder():
    with SocketDirectory("d4py-test-") as folder:
        bind_in(folder)


@pytest.mark.usefixtures("long_folder")
def test_without_a_short_path_the_error_names_TMPDIR(monkeypatch):
    monkeypatch.setattr(socket_directory, "_FALLBACK", "/nowhere")
    with pytest.raises(OptionError, match="set TMPDIR to a shorter path"):
        SocketDirectory("d4py-test-")


def test_without_any_folder_the_error_names_TMPDIR(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    message = "No usable temporary directory .*set TMPDIR to a folder that has room"
    with pytest.raises(OptionError, match=message):
        SocketDirectory("d4py-test-")


def test_a_full_folder_is_not_called_too_long(monkeypatch):
    def refuse(path, mode):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(OptionError, match=r"in /tmp \(No space left on device\); set TMPDIR to a"):
        SocketDirectory("d4py-test-")


class TestRemoval:
    @pytest.fixture(autouse=True)
    def place(self, monkeypatch):
        """A folder for temporary files with a short path."""
        with tempfile.TemporaryDirectory(dir="/tmp", prefix="d4py-test-") as folder:
            monkeypatch.setattr(tempfile, "tempdir", folder)
            yield Path(folder)

    def test_c4_an_interrupt_that_comes_while_it_is_made_leaves_nothing(self, monkeypatch, place):
        def make(path, mode):
            mkdir(path, mode)
            assert [*place.iterdir()] != []
            raise KeyboardInterrupt

        mkdir = os.mkdir
        monkeypatch.setattr(os, "mkdir", make)
        with pytest.raises(KeyboardInterrupt):
            SocketDirectory("d4py-test-")
        gc.collect()
        assert [*place.iterdir()] == []

    def test_c4_an_interrupt_of_the_removal_leaves_nothing(self, monkeypatch, place):
        def remove(path, **options):
            monkeypatch.undo()
            raise KeyboardInterrupt

        directory = SocketDirectory("d4py-test-")
        monkeypatch.setattr(shutil, "rmtree", remove)
        with pytest.raises(KeyboardInterrupt):
            directory.remove()
        assert [*place.iterdir()] != []
        del directory
        gc.collect()
        assert [*place.iterdir()] == []

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
    def test_a_forked_process_leaves_it_alone(self, place):
        code = (
            "import os, sys, tempfile;"
            "from dispel4py.files.socket_directory import SocketDirectory;"
            f"tempfile.tempdir = {str(place)!r};"
            "directory = SocketDirectory('d4py-test-'); child = os.fork();"
            "child or (directory.remove(), sys.exit());"
            "assert os.waitpid(child, 0)[1] == 0;"
            "print(*os.listdir(tempfile.tempdir))"
        )
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.stdout.startswith("d4py-test-"), done.stderr
        assert [*place.iterdir()] == []  # removed as Python ends


#: Finds the folder while Ctrl-C comes right after Python has created a file to test it.
INTERRUPTED = """
import os, signal, tempfile
from dispel4py.files.socket_directory import temporary_folder

class Interrupted:
    def __getattr__(self, name):
        return getattr(os, name)
    def open(self, *arguments):
        number = os.open(*arguments)
        os.kill(os.getpid(), signal.SIGINT)
        return number

tempfile._os = Interrupted()
try:
    temporary_folder()
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_c4_an_interrupt_leaves_no_file_by_which_python_tests_the_folder(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout == "interrupted\n", done.stderr
    assert [*tmp_path.iterdir()] == []


@pytest.mark.skipif(not sys.platform.startswith(("linux", "darwin")), reason="no fork server")
def test_c4_a_fork_server_has_its_socket_there_and_leaves_nothing(long_folder):
    code = (
        "from multiprocessing import forkserver, util;"
        "from dispel4py.files.socket_directory import shorten_multiprocessing_paths;"
        "shorten_multiprocessing_paths();"
        "forkserver.ensure_running();"
        "print(util.get_temp_dir())"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) < 80
    assert not os.path.exists(done.stdout.strip())
    assert [*long_folder.iterdir()] == []
