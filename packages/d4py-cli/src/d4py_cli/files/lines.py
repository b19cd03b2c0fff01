"""Files that a run writes line by line.

An existing file keeps its content until there is a first line to write.
"""

from __future__ import annotations

import json
import os
import select
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self, TextIO

from d4py_cli.files.locks import is_named, lock_for_writing
from dispel4py.errors import OptionError, ProcessingError, RunError
from dispel4py.standard_streams.output import write_line


class OutputClosedError(Exception):
    """The reader of standard output closed it before the run was done."""


class LinesFile:
    """A file, or standard output, to which each line is written at once.

    A run that is refused, or fails before its first line, leaves the file as it was; one that is
    done without a line leaves it empty.

    Args:
        target: name of a file; ``-`` is standard output.
        option: the option that named it.
        what: what the lines are, for messages.

    Attributes:
        is_closed: The reader of standard output has closed it.
        error: Why a line could not be written; no other is then. None if all could.

    Raises:
        OptionError: the file cannot be written, or another run is writing to it.
    """

    def __init__(self, target: str, option: str, what: str) -> None:
        self._is_output = target == "-"
        self._name = "standard output" if self._is_output else target
        self._what = what
        self.is_closed = False
        self.error: RunError | None = None
        self._has_begun = self._is_output
        self._is_new = False
        self._file = sys.stdout if self._is_output else self._open(option)
        encoding = getattr(self._file, "encoding", None)  # a workflow may have replaced the stream
        self._ascii = (encoding or "").lower() != "utf-8"

    def _open(self, option: str) -> TextIO:
        while True:
            self._is_new = not os.path.lexists(self._name)
            try:
                file = open(  # noqa: SIM115 - __exit__ closes it
                    self._name,
                    "w",
                    encoding="utf-8",
                    errors="backslashreplace",
                    opener=_open_without_truncating,
                )
            except OSError as error:
                raise OptionError(
                    f"cannot write {self._name} ({option}): {error.strerror}"
                ) from error
            if not _is_regular(file):
                return file
            lock_for_writing(file, self._name, option)
            if is_named(file, self._name):
                return file
            file.close()  # another run has removed it since

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._is_output:  # also where a PE has replaced it meanwhile
            return
        try:
            if error is None:
                self._begin()
            elif self._is_new and not self._has_begun:
                with suppress(OSError):
                    os.unlink(self._name)  # before the lock ends, and another run has the file
            self._file.close()
        except OSError as closing:
            if error is None:
                raise self._not_written(closing) from closing

    def write_line(self, line: str) -> None:
        """Write a line.

        Raises:
            OutputClosedError: The reader of standard output has closed it.
            RunError: The line cannot be written.
        """
        if self.error is not None:
            raise self.error.with_traceback(None)  # else it grows with each line
        if self._ascii:
            line = "".join(c if c.isascii() else json.dumps(c)[1:-1] for c in line)
        try:
            self._begin()
            write_line(self._file, line)
        except BrokenPipeError as error:
            self.is_closed = True
            raise OutputClosedError from error
        except OSError as error:
            self.error = self._not_written(error)
            raise self.error from error

    def _begin(self) -> None:
        """Empty the file, once."""
        if not self._has_begun:
            self._has_begun = True
            if _is_regular(self._file):
                self._file.truncate(0)

    def _not_written(self, error: OSError) -> RunError:
        return not_written(self._what, self._name, error)


def check_replaceable(target: str, option: str) -> None:
    """Check whether a name can be given to another file, if it has one.

    Args:
        target: the name.
        option: the option that gave it.

    Raises:
        OptionError: it is that of a folder, or of a file that is write-protected.
    """
    if os.path.isdir(target):
        raise OptionError(f"cannot write {target} ({option}): it is a directory")
    if os.path.exists(target) and not os.access(target, os.W_OK):
        raise OptionError(f"cannot write {target} ({option}): the file is write-protected")


def not_written(what: str, name: str, error: OSError) -> RunError:
    """Return the error for content, such as ``"results"``, that cannot be written to a file."""
    return RunError(f"cannot write {what} to {name}: {error.strerror}")


def print_message(text: str, end: str = "\n") -> None:
    """Print on standard error; a message that cannot be written must not cost the results."""
    with suppress(OSError):
        print(text, end=end, file=sys.stderr)


@contextmanager
def naming(file: str | os.PathLike[str]) -> Iterator[None]:
    """Add the name of a file to an `OSError` without one, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or os.fspath(file)
        raise


def _is_regular(file: TextIO) -> bool:
    return stat.S_ISREG(os.fstat(file.fileno()).st_mode)


def _open_without_truncating(name: str, flags: int) -> int:
    return os.open(name, flags & ~os.O_TRUNC, 0o666)


def is_print_to_closed_output(error: BaseException) -> bool:
    """Return whether a PE printed to a standard output that its reader has closed."""
    return (
        isinstance(error, ProcessingError)
        and error.reason.startswith("BrokenPipeError")
        and is_output_closed()
    )


def is_output_closed() -> bool:
    """Return whether the reader of standard output has closed it, as `head` does."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError, AttributeError):
        return False
