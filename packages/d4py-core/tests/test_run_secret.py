"""Key files: written where they are missing, removed with the run that has written them."""

import os
import secrets
import shutil

import pytest

from dispel4py.errors import OptionError, ServiceError
from dispel4py.processes.run_secret import (
    KEY_VARIABLE,
    driver_secret,
    joining_secret,
    removed_with_run,
)


@pytest.fixture(autouse=True)
def no_secret_around(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.key"


@pytest.fixture
def own(path):
    """A file that the user has written."""
    path.touch(0o600)
    path.write_text(secrets.token_urlsafe(32))
    return path


def test_a_file_that_is_not_there_is_written_and_removed_again(path):
    with driver_secret(str(path)) as (secret, is_new, _):
        assert path.stat().st_mode & 0o777 == 0o600
        assert (joining_secret(str(path)), is_new) == (secret, False)
    assert not path.exists()


def test_an_existing_file_is_kept(own):
    with driver_secret(str(own)) as (secret, _, written):
        assert secret == own.read_text()
        assert written is None
    assert own.exists()


def test_a_file_that_another_run_uses_is_kept(path):
    with driver_secret(str(path)) as (secret, _, _):
        another = driver_secret(str(path))
        assert another.__enter__().secret == secret
    assert path.exists()
    another.__exit__(None, None, None)
    assert path.exists()  # it has not written it


def test_a_file_that_another_run_has_used_is_removed(path):
    with driver_secret(str(path)):
        with driver_secret(str(path)):
            pass
        assert path.exists()
    assert not path.exists()


def test_a_file_that_the_user_has_replaced_is_kept(path):
    with driver_secret(str(path)):
        path.unlink()
        path.write_text("something else")
    assert path.exists()


def test_a_lasting_file_is_kept_when_the_service_fails_and_removed_with_the_resumed_run(path):
    with pytest.raises(ServiceError), driver_secret(str(path), lasting=True) as (_, _, written):
        raise ServiceError
    assert path.exists()
    with pytest.raises(ServiceError), removed_with_run(str(path), written):
        raise ServiceError
    assert path.exists()
    with removed_with_run(str(path), written):
        assert path.exists()
    assert not path.exists()


def test_a_copy_of_a_file_that_a_run_has_written_is_kept(path, tmp_path):
    with pytest.raises(ServiceError), driver_secret(str(path), lasting=True) as (_, _, written):
        raise ServiceError
    copy = tmp_path / "copy.key"
    shutil.copy(path, copy)
    with removed_with_run(str(copy), written):
        pass
    assert copy.exists()
    # The same on another host, where the copy has the same path.
    os.replace(copy, path)
    with removed_with_run(str(path), written):
        pass
    assert path.exists()


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("short", 0o600, "has 5 characters; it must have at least 32"),
        ("x" * 40, 0o644, "others can read"),
    ],
)
@pytest.mark.parametrize("read", [joining_secret, lambda path: driver_secret(path).__enter__()])
def test_a_file_that_cannot_be_used_is_refused(path, text, mode, message, read):
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(OptionError, match=message):
        read(str(path))
    assert path.exists()


def test_a_remote_process_needs_a_secret(path):
    with pytest.raises(OptionError, match="there is no file"):
        joining_secret(str(path))
    with pytest.raises(OptionError, match="the run's key is missing"):
        joining_secret(None)
