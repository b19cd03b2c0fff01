"""Files whose format needs all results before it can be written: tables and archives.

While the run goes on, results wait in ``FILE.partial``, each checked when it comes.  At the end
they are written beside the file, which is replaced in one step: it holds either all of the results
or what it held before.  The lock of ``FILE.partial`` keeps a second run away.
"""

from __future__ import annotations

import logging
import os
import pickle
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Protocol, Self

from d4py_cli.files.lines import check_replaceable
from d4py_cli.files.locks import is_named, lock_for_writing
from d4py_cli.output.refusals import TOO_DEEP, NotHeldError, refusal
from dispel4py.errors import OptionError, RunError

#: What a pickle begins with.
_PICKLE = pickle.PROTO + b"\x05"
_LOGGER = logging.getLogger("dispel4py.cli")


class FileFormat(Protocol):
    """A format of files.

    Attributes:
        name: the format in a message, such as ``a table``.
    """

    name: str

    def accept(self, pe_id: str, output: str, data: Any) -> Iterable[Any]:
        """Return the records that a result makes in the file, in a form that can be pickled.

        Raises:
            NotHeldError: the format cannot hold the result, alone or beside earlier ones.
        """
        ...

    def write(self, path: str, records: Iterator[tuple[str, str, Any]]) -> None:
        """Write all records that were accepted.

        Raises:
            OSError: the file cannot be written.
        """
        ...


class CollectedOutput:
    """Collects results in a file beside the target, and writes the target at the end.

    A run that fails or is interrupted leaves the results that it had; one that had none, or was
    refused, leaves the file as it was.

    Args:
        target: name of the file.
        form: its format.

    Attributes:
        is_closed: False; there is no reader that could have closed it.

    Raises:
        OptionError: the file cannot be written, or another run is writing to it.
    """

    is_closed = False

    def __init__(self, target: str, form: FileFormat) -> None:
        self._name = target
        self._target = os.path.realpath(target)  # a link stays one
        self._form = form
        self._partial = f"{self._target}.partial"
        self._count = 0
        self._spool = self._open()

    def _open(self) -> IO[bytes]:
        check_replaceable(self._name, "--output")
        while True:
            try:
                spool = open(self._partial, "a+b")  # noqa: SIM115 - __exit__ closes it
            except OSError as error:
                name = self._name
                if os.path.lexists(self._partial):
                    name += ".partial"
                raise OptionError(f"cannot write {name} (--output): {error.strerror}") from error
            lock_for_writing(spool, self._name, "--output")
            if is_named(spool, self._partial):
                self._check_ours(spool)
                spool.truncate(0)  # what a killed run has left
                return spool
            spool.close()  # another run has removed it since

    def _check_ours(self, spool: IO[bytes]) -> None:
        """Refuse to empty a file that no run has left, such as a part of a download.

        Raises:
            OptionError: it is one.
        """
        spool.seek(0)
        if spool.read(len(_PICKLE)) not in (b"", _PICKLE):
            spool.close()
            raise OptionError(
                f"cannot write {self._name} (--output): {self._name}.partial, where results would"
                " wait, is a file of another program; rename it, or choose another name"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        try:
            if error is None or self._count:
                self._write_target()
        except Exception as cause:  # a library may raise anything; memory may not do
            failure = self._not_written(self._name, cause)
            if error is None:
                raise failure from cause
            _LOGGER.warning("%s", failure)
        else:
            os.unlink(self._partial)
        finally:
            with suppress(OSError):  # what it cannot write has been reported
                self._spool.close()

    def write(self, pe_id: str, output: str, data: Any) -> None:
        """Take one result.

        Raises:
            RunError: the format cannot hold it, or it cannot be written.
        """
        try:
            for record in self._form.accept(pe_id, output, data):
                pickle.dump((pe_id, output, record), self._spool, protocol=5)
                self._count += 1
        except NotHeldError as error:
            raise refusal(self._name, pe_id, output, self._form.name, error) from error
        except RecursionError as error:
            found = NotHeldError("", TOO_DEEP)
            raise refusal(self._name, pe_id, output, self._form.name, found) from error
        except OSError as error:
            raise self._not_written(f"{self._name}.partial", error) from error

    def _write_target(self) -> None:
        self._spool.flush()
        self._spool.seek(0)
        beside = f"{self._partial}.new"  # FILE.new may be a file of the user's
        try:
            self._form.write(beside, self._records())
            with suppress(OSError):  # there is no such file yet, or it is another user's
                shutil.copymode(self._target, beside)
            os.replace(beside, self._target)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise

    def _records(self) -> Iterator[tuple[str, str, Any]]:
        for _ in range(self._count):
            yield pickle.load(self._spool)

    def _not_written(self, name: str, error: Exception) -> RunError:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        return RunError(
            f"cannot write results to {name}: {reason}; those before are in"
            f" {self._name}.partial, each a pickle of (PE, output, data)"
        )
