"""Plans and items on their way to worker processes: as bytes that can be opened there."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from operator import attrgetter
from types import CellType, FunctionType
from typing import Any

from dispel4py.codec import Codec
from dispel4py.errors import GraphError, ItemError, RunError
from dispel4py.loading import loaded_sources, restore_module
from dispel4py.local_copies import reduce_for_elsewhere
from dispel4py.plan import Plan
from dispel4py.processes import imports_main, main_is_shared


@dataclass(frozen=True)
class Parcel:
    """A packed plan; picklable in any way of starting processes.

    Attributes:
        data: the plan.
        definitions: what a main program defines that workers cannot import; empty if they can.
        modules: name, source and file name of modules that were loaded from files.
        argv: ``sys.argv`` as those modules saw it.
    """

    data: bytes
    definitions: bytes
    modules: tuple[tuple[str, str, str], ...]
    argv: tuple[str, ...]

    def open(self, codec: Codec) -> Plan:
        """The plan, in a worker process.

        Raises:
            RunError: a module raises here, or lacks something that the plan needs.
        """
        sys.argv = list(self.argv)
        try:
            for module in self.modules:
                restore_module(*module)
            if self.definitions:
                vars(sys.modules["__main__"]).update(codec.loads(self.definitions))
            plan: Plan = codec.loads(self.data)
        except (Exception, SystemExit) as error:  # a user's module may raise anything
            reason = traceback.format_exception_only(error)[-1].strip()
            raise RunError(
                f"a worker process cannot make the workflow again: {reason}; what is defined at a"
                " prompt or in a notebook has to be put into a file, or else workers be forked"
            ) from error
        return plan


def pack(
    plan: Plan, codec: WorkerCodec, start_method: str | None = None, *, elsewhere: bool = False
) -> Parcel:
    """Pack a plan.

    Args:
        plan: the plan.
        codec: the codec of whoever opens it.
        start_method: how workers are started; None if by default.
        elsewhere: there may also be workers that another program has started, on another host.

    Raises:
        GraphError: PEs that cannot be pickled; each is named with the attribute to blame.
        RunError: this process imports the main script, to become a worker itself.
    """
    if imports_main():  # before anything is started or written that would have to be undone
        raise RunError("run() was called while a worker process imported the main script")
    modules, argv = tuple(loaded_sources()), tuple(sys.argv)
    try:
        shared = main_is_shared(start_method) and not elsewhere
        definitions = b"" if shared else _definitions(codec)
        return Parcel(codec.dumps(plan), definitions, modules, argv)
    except ItemError as error:
        problems = list(_problems(plan, codec))
        raise GraphError(problems or [str(error)]) from error


def _problems(plan: Plan, codec: Codec) -> list[str]:
    problems: list[str] = []
    for planned in plan.pes:
        try:
            codec.dumps(planned.pe)
        except ItemError as error:
            problems.append(f"{planned.id}: {error}")
    return problems


class WorkerCodec(Codec):
    """The codec of a mapping whose workers are processes.

    What pickle refuses goes to a pickler that carries functions with all that they refer to.  It
    leaves out the classes of the main program, which workers have too: an item would else be no
    instance of the class that its receiver knows.

    Args:
        library: name of the library with that pickler, which is written in Python, as dill's is.
            Few items need it and it is slow to import, so that is done when it is first needed.
    """

    def __init__(self, library: str) -> None:
        super().__init__(self._by_name)
        self._library = library

    def by_value(self, value: Any) -> bytes:
        """Bytes that bring the classes of the main program along."""
        data = BytesIO()
        self._pickler(data).dump(value)
        return data.getvalue()

    def _by_name(self, value: Any) -> bytes:
        try:
            return self._overridden(_class_of_main, value)
        except RecursionError:  # dill 0.4 follows a function that refers to itself for ever
            return self._overridden(_function_or_class_of_main, value)

    def _overridden(self, override: Callable[[Any], Any], value: Any) -> bytes:
        data = BytesIO()
        pickler = self._pickler(data)
        pickler.reducer_override = override
        pickler.dump(value)
        return data.getvalue()

    def _pickler(self, file: BytesIO) -> Any:
        return import_module(self._library).Pickler(file, protocol=5, recurse=True)


def _class_of_main(value: Any) -> Any:
    """The name of a class that every process has; `NotImplemented` for anything else."""
    if isinstance(value, type) and value.__module__ == "__main__":
        with suppress(AttributeError):  # a class inside a function cannot be found by name
            if attrgetter(value.__qualname__)(sys.modules["__main__"]) is value:
                return value.__qualname__
    return NotImplemented


def _function_or_class_of_main(value: Any) -> Any:
    """The same, and functions as `dispel4py.local_copies` takes them apart."""
    if isinstance(value, FunctionType | CellType):
        return reduce_for_elsewhere(value)
    return _class_of_main(value)


def _definitions(codec: WorkerCodec) -> bytes:
    """The classes and functions of the main program, as far as they can be carried."""
    own = {
        name: value
        for name, value in vars(sys.modules["__main__"]).items()
        if isinstance(value, type | FunctionType) and value.__module__ == "__main__"
    }
    if not _carries(codec, own):
        own = {name: value for name, value in own.items() if _carries(codec, {name: value})}
    return codec.by_value(own)


def _carries(codec: WorkerCodec, own: dict[str, Any]) -> bool:
    try:
        codec.loads(codec.by_value(own))
    except Exception:  # a user's metaclass may raise anything
        return False
    return True
