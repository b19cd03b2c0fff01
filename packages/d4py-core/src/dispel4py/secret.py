"""The secret of a run in which several hosts take part, and how it reaches them.

It never goes through the channel that it guards: it is in an environment variable or a file that
only its owner can read.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator

from dispel4py.errors import OptionError, ServiceError

#: Environment variable that holds the secret.
VARIABLE = "D4PY_KEY"
#: What is shorter could be found by trial.
_SHORTEST = 32


@contextlib.contextmanager
def secret_of_driver(key_file: str | None, *, lasting: bool = False) -> Iterator[tuple[str, bool]]:
    """The secret of a run that starts here, and whether it still has to be told.

    It is that of the environment or of the file.  A file that is not there is written, and removed
    at the end; without either the secret is new, and only this process knows it.

    Args:
        key_file: name of the file, if there is one.
        lasting: what the secret guards outlasts a failure of the service, and so does the file.

    Raises:
        OptionError: the file cannot be used, or the secret is so short that it could be guessed.
    """
    given = _given(key_file, may_lack=True)
    if given is not None:
        yield _checked(given), False
        return
    secret = secrets.token_urlsafe(_SHORTEST)
    if key_file is None:
        yield secret, True
        return
    try:
        with open(os.open(key_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secret + "\n")
    except OSError as error:
        raise OptionError(f"cannot write {key_file} (--key-file): {error.strerror}") from error
    is_needed = False
    try:
        yield secret, False
    except ServiceError:
        is_needed = lasting
        raise
    finally:
        if not is_needed:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(key_file)


def secret_of_guest(key_file: str | None) -> str:
    """The secret of a run that was started elsewhere.

    Raises:
        OptionError: neither the environment nor a file has it.
    """
    given = _given(key_file, may_lack=False)
    if given is None:
        raise OptionError(f"the run's key is missing: set {VARIABLE}, or name a --key-file")
    return _checked(given)


def forget_secret(key_file: str | None) -> None:
    """Remove the file of a run that has ended and was started elsewhere."""
    if key_file is not None:
        with contextlib.suppress(OSError):
            os.unlink(key_file)


def _checked(secret: str) -> str:
    if len(secret) < _SHORTEST:
        raise OptionError(
            f"the key ({VARIABLE} or --key-file) has {len(secret)} characters; it needs"
            f" {_SHORTEST}: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return secret


def _given(key_file: str | None, *, may_lack: bool) -> str | None:
    if key_file is None:
        return os.environ.get(VARIABLE) or None
    try:
        with open(key_file, encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise OptionError(f"others can read {key_file} (--key-file); chmod 600 {key_file}")
            return file.read().strip()
    except FileNotFoundError as error:
        if may_lack:
            return None
        raise OptionError(f"there is no file {key_file} (--key-file)") from error
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"cannot read {key_file} (--key-file): {error}") from error
