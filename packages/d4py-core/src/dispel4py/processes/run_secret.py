"""The secret of a run on several hosts, and how the hosts get it.

The secret is never sent over the connections that it protects: it is in an environment variable or
in a file that only its owner can read.  A file that a run has written is removed with the run,
unless another run uses it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from typing import NamedTuple

from dispel4py.errors import OptionError, ServiceError, TerminatedError
from dispel4py.logs import get_logger

_LOG = get_logger("secret")

#: The environment variable that holds the secret.
KEY_VARIABLE = "D4PY_KEY"
#: Least number of characters; a shorter secret could be guessed.
_LEAST_LENGTH = 32


class KeyFile(NamedTuple):
    """The identity of a file that a run has written, so that no other file is removed.

    Attributes:
        path: its absolute path.
        inode: number of the file in its file system.
        written: time of the last change, in nanoseconds.
    """

    path: str
    inode: int
    written: int


class DriverSecret(NamedTuple):
    """The secret of a run that starts here.

    Attributes:
        secret: the secret.
        is_new: the secret was generated here, so the other hosts do not have it yet.
        file: the file with the secret, if this run has written one.
    """

    secret: str
    is_new: bool
    file: KeyFile | None = None


@contextlib.contextmanager
def driver_secret(key_file: str | None, *, lasting: bool = False) -> Iterator[DriverSecret]:
    """Return a context with the secret of a run that starts here.

    The secret is read from the file, or else from the environment.  A file that does not exist is
    written with a new secret, and removed at the end, unless another run uses it then.

    Args:
        key_file: name of the file, if one was given.
        lasting: keep the file if the run ends by a failure of the service or by SIGTERM, since the
            data that the secret protects is kept too.

    Raises:
        OptionError: the file cannot be used, or the secret is so short that it could be guessed.
    """
    if key_file is None:
        given = os.environ.get(KEY_VARIABLE)
        yield DriverSecret(
            _checked(given) if given else secrets.token_urlsafe(_LEAST_LENGTH), not given
        )
        return
    with _locked(key_file) as file:
        if file is not None:
            yield DriverSecret(_checked(_read(file, key_file)), False)
            return
    secret = secrets.token_urlsafe(_LEAST_LENGTH)
    written = _write(key_file, secret)
    with removed_with_run(key_file, written, lasting=lasting):
        yield DriverSecret(secret, False, written)


@contextlib.contextmanager
def removed_with_run(
    key_file: str | None, written: KeyFile | None, *, lasting: bool = True
) -> Iterator[None]:
    """Return a context at whose end the file that a run has written is removed.

    Args:
        key_file: the file with the secret, which is locked meanwhile.
        written: the file that the run has written, if it has; a copy of it is not removed.
        lasting: see `driver_secret`.
    """
    is_needed = False
    try:
        with contextlib.nullcontext() if key_file is None else _locked(key_file):
            yield
    except (ServiceError, TerminatedError):
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
        given = os.environ.get(KEY_VARIABLE)
        if not given:
            raise OptionError(f"the run's key is missing: set {KEY_VARIABLE} or use --key-file")
        return _checked(given)
    with _locked(key_file) as file:
        if file is None:
            raise OptionError(f"there is no file {key_file} (--key-file)")
        return _checked(_read(file, key_file))


def _checked(secret: str) -> str:
    if len(secret) < _LEAST_LENGTH:
        raise OptionError(
            f"the key ({KEY_VARIABLE} or --key-file) has {len(secret)} characters; it must have at"
            f" least {_LEAST_LENGTH}: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return secret


@contextlib.contextmanager
def _locked(key_file: str) -> Iterator[int | None]:
    """Return a context with the descriptor of a file that is locked; None if it does not exist."""
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
        raise OptionError(f"others can read {key_file} (--key-file); run: chmod 600 {key_file}")
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
    """Remove a file that a run has written, unless it was replaced or is still used."""
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
            _LOG.info("%s is kept: another run uses its key", written.path)
            return
        except OSError:  # no locks here
            pass
        with contextlib.suppress(OSError):
            os.unlink(written.path)
    finally:
        os.close(file)
