"""Directories for Unix sockets, whose paths are short however long TMPDIR is."""

import errno
import os
import socket
import stat
import subprocess
import sys
import tempfile

import pytest

from dispel4py.errors import OptionError
from dispel4py.files import socket_directory
from dispel4py.files.socket_directory import make_socket_directory


@pytest.fixture
def long_folder(monkeypatch, tmp_path):
    """A folder for temporary files as batch systems have it."""
    folder = tmp_path / ("x" * 90)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def bind_in(folder):
    path = f"{folder}/a-name-of-a-socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
    os.unlink(path)
    os.rmdir(folder)


def test_it_is_for_this_user_only():
    folder = make_socket_directory("d4py-test-")
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    bind_in(folder)


@pytest.mark.usefixtures("long_folder")
def test_a_socket_can_be_bound_there_however_long_the_usual_folder():
    bind_in(make_socket_directory("d4py-test-"))


@pytest.mark.usefixtures("long_folder")
def test_without_a_short_path_the_error_names_TMPDIR(monkeypatch):
    monkeypatch.setattr(socket_directory, "_FALLBACK", "/nowhere")
    with pytest.raises(OptionError, match="set TMPDIR to a shorter path"):
        make_socket_directory("d4py-test-")


def test_without_any_folder_the_error_names_TMPDIR(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    message = "No usable temporary directory .*set TMPDIR to a folder that has room"
    with pytest.raises(OptionError, match=message):
        make_socket_directory("d4py-test-")


def test_a_full_folder_is_not_called_too_long(monkeypatch, tmp_path):
    def refuse(**options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(OptionError, match=r"in /tmp \(No space left on device\); set TMPDIR to a"):
        make_socket_directory("d4py-test-")


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
