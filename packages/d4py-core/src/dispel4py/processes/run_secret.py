"""The secret of a run in which several hosts take part, and how it reaches them.

It never goes through the channel that it guards: it is in an environment variable or a file that
only its owner can read.  A file that a run has written goes with it, unless another run uses it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from typing import NamedTuple

from dispel4py.errors import OptionError, ServiceError
from dispel4py.logs import get_logger

_LOG = get_logger("secret")

#: Environment variable that holds the secret.
VARIABLE = "D4PY_KEY"
#: What is shorter could be found by trial.
_SHORTEST = 32


class KeyFile(NamedTuple):
    """A file that a run has written, so that it is not mistaken for another one of that name.

    Attributes:
        path: its absolute path.
        inode: number of the file in its file system.
        written: when it was written, in nanoseconds.
    """

    path: str
    inode: int
    written: int


class DriverSecret(NamedTuple):
    """The secret of a run that starts here.

    Attributes:
        secret: the secret.
        is_new: only this process knows it, so it still has to be passed on.
        file: the file with it, if the run has written one.
    """

    secret: str
    is_new: bool
    file: KeyFile | None = None


@contextlib.contextmanager
def driver_secret(key_file: str | None, *, lasting: bool = False) -> Iterator[DriverSecret]:
    """Give the secret of a run that starts here.

    It is that of the environment or of the file.  A file that is not there is written, and removed
    at the end, unless another run uses it then; without either the secret is new.

    Args:
        key_file: name of the file, if there is one.
        lasting: what the secret guards outlasts a failure of the service, and so does the file.

    Raises:
        OptionError: the file cannot be used, or the secret is so short that it could be guessed.
    """
    if key_file is None:
        given = os.environ.get(VARIABLE)
        yield DriverSecret(
            _checked(given) if given else secrets.token_urlsafe(_SHORTEST), not given
        )
        return
    with _used(key_file) as file:
        if file is not None:
            yield DriverSecret(_checked(_read(file, key_file)), False)
            return
    secret = secrets.token_urlsafe(_SHORTEST)
    written = _write(key_file, secret)
    with removed_with_run(key_file, written, lasting=lasting):
        yield DriverSecret(secret, False, written)


@contextlib.contextmanager
def removed_with_run(
    key_file: str | None, written: KeyFile | None, *, lasting: bool = True
) -> Iterator[None]:
    """Remove the file that a run has written when the run has ended, here or elsewhere.

    Args:
        key_file: where the secret is; it counts as used meanwhile.
        written: the file that the run has written, if it has; a copy of it stays.
        lasting: see `driver_secret`.
    """
    is_needed = False
    try:
        with contextlib.nullcontext() if key_file is None else _used(key_file):
            yield
    except ServiceError:
        is_needed = lasting
        raise
    finally:
        if written is not None and not is_needed:
            _remove(written)


def joining_secret(key_file: str | None) -> str:
    """Return the secret of a run that was started elsewhere.

    Raises:
        OptionError: neither the environment nor a file has it.
    """
    if key_file is None:
        given = os.environ.get(VARIABLE)
        if not given:
            raise OptionError(f"the run's key is missing: set {VARIABLE}, or name a --key-file")
        return _checked(given)
    with _used(key_file) as file:
        if file is None:
            raise OptionError(f"there is no file {key_file} (--key-file)")
        return _checked(_read(file, key_file))


def _checked(secret: str) -> str:
    if len(secret) < _SHORTEST:
        raise OptionError(
            f"the key ({VARIABLE} or --key-file) has {len(secret)} characters; it needs"
            f" {_SHORTEST}: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return secret


@contextlib.contextmanager
def _used(key_file: str) -> Iterator[int | None]:
    """Open a file with a secret, and mark it as used; None if there is none."""
    try:
        file = os.open(key_file, os.O_RDONLY)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise OptionError(f"cannot read {key_file} (--key-file): {error.strerror}") from error
    try:
        with contextlib.suppress(OSError):  # not every file system has locks
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        # A run that has just ended may have removed it since.
        yield file if os.fstat(file).st_nlink else None
    finally:
        os.close(file)


def _read(file: int, key_file: str) -> str:
    if os.fstat(file).st_mode & 0o077:
        raise OptionError(f"others can read {key_file} (--key-file); chmod 600 {key_file}")
    try:
        return os.pread(file, 1 << 16, 0).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"cannot read {key_file} (--key-file): {error}") from error


def _write(key_file: str, secret: str) -> KeyFile:
    try:
        with open(os.open(key_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secret + "\n")
            file.flush()
            found = os.fstat(file.fileno())
    except OSError as error:
        raise OptionError(f"cannot write {key_file} (--key-file): {error.strerror}") from error
    return KeyFile(os.path.abspath(key_file), found.st_ino, found.st_mtime_ns)


def _remove(written: KeyFile) -> None:
    """Remove a file that a run has written, unless it is another one by now or is still used."""
    try:
        file = os.open(written.path, os.O_RDONLY)
    except OSError:
        return
    try:
        found = os.fstat(file)
        if (found.st_ino, found.st_mtime_ns) != (written.inode, written.written):
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _LOG.info("%s stays: another run uses the key in it", written.path)
            return
        except OSError:  # no locks here
            pass
        with contextlib.suppress(OSError):
            os.unlink(written.path)
    finally:
        os.close(file)
