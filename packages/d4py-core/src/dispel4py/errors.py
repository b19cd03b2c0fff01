"""The errors that d4py raises.

::

    D4pyError
    ├── UsageError                  the call is wrong: exit status 2
    │   ├── GraphError              the graph cannot run; `.problems` lists every reason
    │   ├── InputError              the run's inputs do not fit the graph
    │   ├── OptionError             an option has an invalid value
    │   ├── WorkflowLoadError       no workflow can be loaded from a file or module
    │   ├── UnknownMappingError     no mapping of that name is installed
    │   └── UnsupportedGraphError   this mapping cannot run this graph
    └── RunError                    the run failed: exit status 1
        ├── ProcessingError         a PE raised; names PE, instance and item
        ├── UndeclaredStateError    a PE keeps undeclared state (with `strict`)
        ├── WorkerLostError         a worker process died
        │   └── WorkerStartError    a worker process did not begin
        └── ServiceError            a service (Redis, MPI) failed or is missing

`ItemError`, `GroupingError` and `UnknownOutputError` are raised while a PE runs, so they reach the
caller as the cause of a `ProcessingError`.  A mapping translates exceptions of the libraries that
it uses into these.
"""

from __future__ import annotations

import reprlib
import traceback
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dispel4py.exceptions import tracebacks
from dispel4py.exceptions.pickled_exceptions import pickle_exception, unpickle_exception


class D4pyError(Exception):
    """Base class of all errors that d4py raises."""

    exit_status = 1


class UsageError(D4pyError):
    """The call is wrong; nothing was started."""

    exit_status = 2


class GraphError(UsageError):
    """The graph cannot run.

    Args:
        problems: one sentence each, naming PE and port.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return self.problems[0]
        listed = "\n".join(f"  - {problem}" for problem in self.problems)
        return f"the graph has {len(self.problems)} problems:\n{listed}"


class InputError(UsageError):
    """The run's inputs do not fit the graph."""


class OptionError(UsageError):
    """An option has an invalid value."""


class WorkflowLoadError(UsageError):
    """No workflow can be loaded from a file or module.

    Args:
        message: what is wrong and what to do.
        user_traceback: the traceback of an exception in the user's module, as text.
    """

    def __init__(self, message: str, user_traceback: str = "") -> None:
        self.user_traceback = user_traceback
        super().__init__(message)


class UnknownMappingError(UsageError):
    """No mapping of that name is installed."""


class UnsupportedGraphError(UsageError):
    """This mapping cannot run this graph."""


class RunError(D4pyError):
    """The run was started and failed.

    Attributes:
        result: the `dispel4py.RunResult` until then; None if the mapping does not keep it, and in
            worker processes.
    """

    result: Any = None


class WorkerLostError(RunError):
    """A worker process died before its work was done.

    Args:
        rank: number of the worker.
        pid: number of its process, or 0 if it is not known.
        cause: such as ``"killed by SIGKILL"``.
        ran: the PEs that it ran, if the mapping reports them.
    """

    _what = "died"

    def __init__(self, rank: int, pid: int, cause: str, ran: str = "") -> None:
        self.rank, self.pid, self.cause, self.ran = rank, pid, cause, ran
        super().__init__(rank, pid, cause, ran)

    def __str__(self) -> str:
        process = f" (process {self.pid})" if self.pid else ""
        at_work = f"; it ran {self.ran}" if self.ran else ""
        return f"worker {self.rank}{process} {self._what}: {self.cause}{at_work}"


class WorkerStartError(WorkerLostError):
    """A worker process was started and has not begun in time."""

    _what = "did not begin"


class UndeclaredStateError(RunError):
    """A PE keeps state in its own attributes and does not declare that.

    Args:
        pe_id: id of the PE.
        attributes: names of the attributes.
        message: the message, which says what to write.
    """

    def __init__(self, pe_id: str, attributes: tuple[str, ...], message: str) -> None:
        self.pe_id, self.attributes, self.message = pe_id, attributes, message
        super().__init__(pe_id, attributes, message)

    def __str__(self) -> str:
        return self.message


class ServiceError(RunError):
    """A service that the mapping needs failed or is missing."""


class TerminatedError(KeyboardInterrupt):
    """This process was asked to stop by SIGTERM or SIGHUP, as a batch system does at a time limit.

    It stops as after Ctrl-C, but what another process can resume is kept.
    """


class ItemError(D4pyError):
    """An item cannot be copied, or cannot be sent to another process.

    Attributes:
        output: the output that it was written to, if the message names it.
    """

    output: str | None = None


class GroupingError(D4pyError):
    """A group key cannot be read or hashed from an item."""


class UnknownOutputError(D4pyError, KeyError):
    """A PE wrote to an output that it does not have; also a `KeyError`, as in dispel4py."""

    def __str__(self) -> str:
        return Exception.__str__(self)  # that of KeyError has quotes


class ProcessingError(RunError):
    """A PE raised an exception.

    The original exception is the `__cause__`, with its own causes, context and notes, on every
    mapping; None if it cannot be pickled.  Its traceback is always in `user_traceback` as text;
    Python prints that text with this error where the exception was raised in another process.

    Args:
        pe_id: id of the PE in the run, such as ``"TestProducer0"``.
        instance: index of the instance of that PE.
        phase: ``"preprocess"``, ``"process"`` or ``"postprocess"``.
        item: the item, shortened; None outside ``process``.
        reason: type and message of the original exception.
        user_traceback: the original traceback, without frames of d4py.
        exception_type: name of the original exception's type, with its module unless that is
            Python's own; read from `reason` if it is not given.
        advice: what to change, where that is known.
    """

    def __init__(
        self,
        pe_id: str,
        instance: int,
        phase: str,
        item: str | None,
        reason: str,
        user_traceback: str = "",
        exception_type: str = "",
        advice: str = "",
    ) -> None:
        self.pe_id = pe_id
        self.instance = instance
        self.phase = phase
        self.item = item
        self.reason = reason
        self.user_traceback = user_traceback
        self.exception_type = exception_type or reason.partition(":")[0]
        self.advice = advice
        super().__init__(
            *(pe_id, instance, phase, item, reason, user_traceback, self.exception_type, advice)
        )

    def __reduce__(self) -> Any:
        notes = getattr(self, "__notes__", ())
        return _restore_error, (type(self), self.args, pickle_exception(self.__cause__), notes)

    def __str__(self) -> str:
        where = f"{self.pe_id} (instance {self.instance}) failed in {self.phase}"
        at_item = "" if self.item is None else f" at item {self.item}"
        return f"{where}{at_item}: {self.reason}{self.advice and f'; {self.advice}'}"

    @classmethod
    def of(
        cls,
        exception: BaseException,
        pe_id: str,
        instance: int,
        phase: str,
        item: Any = None,
        advice: str = "",
    ) -> ProcessingError:
        """Return the error for an exception of a PE.

        Args:
            exception: the exception, which becomes the `__cause__`; its traceback begins with the
                user's code from then on.
            pe_id: see `ProcessingError`.
            instance: see `ProcessingError`.
            phase: see `ProcessingError`.
            item: the item; shortened, and omitted unless `phase` is ``"process"``.
            advice: see `ProcessingError`.
        """
        error = cls(
            pe_id,
            instance,
            phase,
            shorten(item) if phase == "process" else None,
            "".join(traceback.format_exception_only(exception)).strip(),
            format_user_traceback(exception),
            _type_name(exception),
            advice,
        )
        error.__cause__ = exception
        exception.__traceback__ = tracebacks.from_users_frame(exception.__traceback__)
        return error

    @property
    def has_frames(self) -> bool:
        """Whether the traceback has lines of the user's code; else `reason` contains all of it."""
        return "\n" in self.user_traceback.strip()

    def drop_frames(self) -> None:
        """Drop the frames of this error and of its causes; their text is kept."""
        drop_frames(self)
        self._note_traceback()

    def _note_traceback(self) -> None:
        note = f"The traceback of {self.pe_id}:\n{self.user_traceback.rstrip()}"
        if self.has_frames and note not in getattr(self, "__notes__", ()):
            self.add_note(note)


def drop_frames(exception: BaseException) -> None:
    """Drop the frames of an exception and of its causes."""
    for one in _all_of(exception):
        one.__traceback__ = None


def shorten(value: Any, limit: int = 200) -> str:
    """Return the `repr` of a value in at most `limit` characters; never raises."""
    try:
        text = _SHORT_REPR.repr(value)
    except Exception as error:  # a user's __repr__ may do anything
        text = f"<{type(value).__name__}, whose repr() raised {type(error).__name__}>"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def describe_exception(exception: BaseException) -> str:
    """Return the type and the text of an exception; never raises."""
    kind, text = type(exception).__name__, text_of(exception)
    return f"{kind}: {text}" if text else kind


def text_of(value: object, what: str = "exception") -> str:
    """Return the text of an exception or other object; never raises.

    Args:
        value: the object.
        what: what it is; said where it has no text.
    """
    try:
        return str(value)
    except Exception:  # a user's __str__ may do anything
        return f"<{what} str() failed>"


def exit_code_of(error: SystemExit) -> int | str:
    """Return the exit status that an exit asks for, or the message; never raises.

    It is read as Python does: the class of the exception may have a `code` of its own.
    """
    code = vars(SystemExit)["code"].__get__(error)
    if code is None:
        return 0
    return int.__index__(code) if isinstance(code, int) else text_of(code, "message")


def format_user_traceback(exception: BaseException) -> str:
    """Return the traceback as Python prints it, without d4py's own frames; see `tracebacks`."""
    return tracebacks.format_user_traceback(exception, D4pyError)


def _restore_error(
    kind: type[ProcessingError], arguments: tuple[Any, ...], cause: bytes | None, notes: list[str]
) -> ProcessingError:
    """Restore an error that was pickled in another process."""
    error = kind(*arguments)
    error.user_traceback = tracebacks.with_source(error.user_traceback)
    error.__cause__ = unpickle_exception(cause)
    for note in notes:
        error.add_note(note)
    error._note_traceback()
    return error


def _type_name(exception: BaseException) -> str:
    """Return the name of an exception's type as a traceback shows it."""
    kind = type(exception)
    if kind.__module__ in ("builtins", "__main__", "__mp_main__"):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _all_of(exception: BaseException) -> Iterator[BaseException]:
    """Yield an exception, its causes and contexts, and the exceptions in a group."""
    waiting: list[BaseException | None] = [exception]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
        yield one


def name_list(names: Sequence[str]) -> str:
    """Return names for a message, as in ``'a', 'b' and 'c'``; ``none`` if there are none."""
    quoted = [repr(name) for name in names]
    if not quoted:
        return "none"
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " and " + quoted[-1]


_SHORT_REPR = reprlib.Repr()
_SHORT_REPR.maxstring = _SHORT_REPR.maxother = 160
_SHORT_REPR.maxlist = _SHORT_REPR.maxtuple = _SHORT_REPR.maxdict = 8
