"""`PlanBundle`: a plan in a form in which worker processes can load it.

A plan is serialized without its PEs, and each PE by itself, so that a process loads only the PEs
that it runs, when it starts them.  Large arrays are left out of the bytes: a forked worker shares
them with its parent until one of the two writes to them.
"""

from __future__ import annotations

import marshal
import os
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from operator import attrgetter
from types import CellType, CodeType, FunctionType
from typing import Any

from dispel4py.core import GROUPING, NAME, OPTIONAL, ORDERED, TYPE, GenericPE
from dispel4py.engine.items.codec import Codec
from dispel4py.engine.planning.plan import Plan
from dispel4py.engine.planning.serialized_pes import PEFactory, SerializedPE, owner_of, serialize_pe
from dispel4py.errors import GraphError, ItemError, RunError, describe_exception
from dispel4py.exceptions.unwinding import reraise_foreign
from dispel4py.files.open_files import KEEP_STANDARD, Reducers
from dispel4py.loading import Origin, loaded_sources, release_graphs, restore_module
from dispel4py.object_types import is_of_type
from dispel4py.pickling.interned_strings import PrimedMemo
from dispel4py.pickling.local_copies import reduce_portably
from dispel4py.pickling.rebuilding import LocalPE, can_be_rebuilt, rebuild_pes
from dispel4py.processes.workers.start_methods import end_if_imports_main, main_is_shared


@dataclass(eq=False, repr=False)
class PlanBundle:
    """A serialized plan; it can be pickled, whatever the start method of the workers.

    Attributes:
        plan: the plan, with stand-ins for its PEs.
        pes: the PEs, by number; None for those that are taken from the graph at `origin`.
        definitions: what the main program defines and workers cannot import; empty if they can.
        modules: name, source and file name of modules that were loaded from files.
        argv: ``sys.argv`` as those modules saw it.
        process: id of the process that made the bundle.
        origin: where the process that loads the bundle can import the graph.
    """

    plan: bytes
    pes: dict[int, SerializedPE | None]
    definitions: bytes
    modules: tuple[tuple[str, str, str], ...]
    argv: tuple[str, ...]
    process: int
    origin: Origin | None = None

    def subset(self, pes: Collection[int]) -> PlanBundle:
        """Return a bundle with only some of the PEs."""
        return replace(self, pes={pe: self.pes[pe] for pe in pes})

    def load_plan(self, codec: Codec) -> Plan:
        """Return the plan for a driver that resumes a run; no PE of the plan can be run.

        Raises:
            RunError: see `load`.
        """
        return self._load_graph(codec)[0]

    def _load_graph(self, codec: Codec) -> tuple[Plan, list[Any]]:
        """Return the plan, and the PEs of the graph as imported here, if some are needed."""
        sys.argv = list(self.argv)
        rebuilt: list[Any] = []
        with _restoring("the workflow"):
            for module in self.modules:
                restore_module(*module)
            if self.origin is not None and None in self.pes.values():
                rebuilt = rebuild_pes(self.origin)
            release_graphs()
            if self.definitions:
                vars(sys.modules["__main__"]).update(codec.loads(self.definitions))
            plan: Plan = codec.loads(self.plan)
        return plan, rebuilt

    def load(
        self, codec: Codec, times: Mapping[int, int] | None = None, *, last: bool = False
    ) -> Plan:
        """Return the plan, in a worker process; PEs are loaded when their instances are started.

        Args:
            codec: the codec that the bundle was made with.
            times: number of a PE → how many instances of the PE are started here, at most; None if
                all instances of any PE may be.
            last: the bundle is not loaded again, so that it keeps nothing.

        Raises:
            RunError: a module raises here, or lacks something that the plan needs; loading a PE may
                raise it as well.
        """
        serialized_pes = self.pes
        plan, rebuilt = self._load_graph(codec)
        if last:
            self.pes = {}
        is_other_process = self.process != os.getpid()
        pes = list(plan.pes)
        for number, serialized in serialized_pes.items():
            if serialized is None:
                pes[number] = replace(pes[number], factory=LocalPE(rebuilt[number]))
                continue
            if times is not None:
                count: int | None = times.get(number, 0)
            else:  # an instance may have to be restored from another process's state
                count = 1 if pes[number].instances == 1 else None
            pes[number] = replace(
                pes[number],
                factory=_RestoringFactory(
                    pes[number].id, serialized, count, owns_arrays=is_other_process
                ),
            )
        return replace(plan, pes=tuple(pes))


class _RestoringFactory(PEFactory):
    """A `PEFactory` whose errors are those of a worker process.

    Args:
        pe_id: id of the PE, for messages.
        serialized: see `PEFactory`.
        times: see `PEFactory`.
        owns_arrays: see `PEFactory`.
    """

    def __init__(
        self, pe_id: str, serialized: SerializedPE, times: int | None, *, owns_arrays: bool
    ) -> None:
        super().__init__(serialized, times, owns_arrays=owns_arrays)
        self._pe_id = pe_id

    def __call__(self) -> GenericPE:
        with _restoring(self._pe_id):
            return super().__call__()


@contextmanager
def _restoring(what: str) -> Iterator[None]:
    """Raise any error inside the block as a `RunError` about what is restored."""
    try:
        yield
    except RunError:
        raise
    except BaseException as error:  # a user's module may raise anything
        reraise_foreign(error)
        message = f"a worker process cannot make {what} again: {describe_exception(error)}"
        if isinstance(error, AttributeError | ImportError):  # a name that is not defined here
            message += (
                "; what is defined at a prompt or in a notebook has to be put into a file, or else"
                " workers be forked"
            )
        raise RunError(message) from error


def make_bundle(
    plan: Plan,
    codec: WorkerCodec,
    start_method: str | None = None,
    *,
    multi_host: bool = False,
    origin: Origin | None = None,
) -> PlanBundle:
    """Serialize a plan for worker processes; see `end_if_imports_main`.

    Args:
        plan: the plan.
        codec: the codec of the processes that load it.
        start_method: start method of the workers; None for the default.
        multi_host: there may be workers that another program has started, on another host.
        origin: where a worker can import the graph: PEs that cannot be pickled are taken from
            there.  A worker may have one instance of each.

    Raises:
        GraphError: PEs cannot be pickled; each is named with the attribute that cannot be.
    """
    end_if_imports_main()  # before anything is started or written that would have to be undone
    modules, argv = tuple(loaded_sources()), tuple(sys.argv)
    shared = main_is_shared(start_method) and not multi_host
    definitions = b"" if shared else _definitions(codec)
    pes, problems = _serialized_pes(plan, codec, origin)
    if not problems:
        light = [replace(planned, pe=_stand_in(planned.pe)) for planned in plan.pes]
        try:
            data = codec.dumps_pe(replace(plan, pes=tuple(light)))
        except ItemError as error:
            problems.append(str(error))
    if problems:
        raise GraphError(problems)
    _find_shared([serialized for serialized in pes.values() if serialized is not None])
    return PlanBundle(data, pes, definitions, modules, argv, os.getpid(), origin)


def _serialized_pes(
    plan: Plan, codec: Codec, origin: Origin | None
) -> tuple[dict[int, SerializedPE | None], list[str]]:
    """Return the PEs of a plan, None for those at `origin`, and the problems of the others."""
    pes: dict[int, SerializedPE | None] = {}
    problems: list[str] = []
    for planned in plan.pes:
        try:
            pes[planned.index] = serialize_pe(planned, codec)
        except ItemError as error:
            if origin is not None and can_be_rebuilt(planned.pe):
                pes[planned.index] = None
            else:
                problems.append(f"{planned.id}: {error}")
    return pes, problems


def _find_shared(pes: Sequence[SerializedPE]) -> None:
    """Set `is_shared` of all serialized PEs of a plan."""
    users = Counter(id(owner_of(value)) for serialized in pes for value in serialized.external)
    for serialized in pes:
        serialized.is_shared = [users[id(owner_of(value))] > 1 for value in serialized.external]


def _stand_in(pe: GenericPE) -> GenericPE:
    """Return a PE with only those attributes that a plan needs."""
    light = GenericPE(pe.numprocesses)
    light.name, light.id = pe.name, pe.id
    light.inputconnections = _described(pe.inputconnections)
    light.outputconnections = _described(pe.outputconnections)
    light.single, light.stateful = bool(pe.single), bool(pe.stateful)
    light.item_ids, light.seeks = pe.item_ids is True, pe.seeks is True
    light.independent_calls = pe.independent_calls is True
    return light


def _described(ports: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    kept = (NAME, GROUPING, TYPE, OPTIONAL, ORDERED)
    return {
        name: {key: value for key, value in settings.items() if key in kept}
        for name, settings in ports.items()
    }


class WorkerCodec(Codec):
    """The codec of a mapping whose workers are processes.

    Objects that pickle refuses go to a pickler that pickles functions by value.  Classes of the
    main program are still pickled by name: an item has to be an instance of the class that its
    receiver has imported.

    Args:
        library: name of the library with that pickler, which is written in Python, as dill's is.
            The library is imported when it is first needed: few items need it.
    """

    def __init__(self, library: str) -> None:
        super().__init__(self._by_name, self._without_recursion)
        self._library = library

    def by_value(self, value: Any) -> bytes:
        """Return the pickle of an object, with the classes of the main program by value."""
        return PrimedMemo().dumps(
            value, lambda file, take_buffer: self._pickler(file, KEEP_STANDARD, take_buffer)
        )

    def _by_name(self, file: Any, files: Reducers, buffer_callback: Any) -> Any:
        return self._pickler(file, files, buffer_callback, _reduce_main_class)

    def _without_recursion(self, file: Any, files: Reducers, buffer_callback: Any) -> Any:
        # dill 0.4 recurses without end into a function that refers to itself
        return self._pickler(file, files, buffer_callback, _reduce_function_or_main_class)

    def _pickler(
        self,
        file: Any,
        files: Reducers,
        buffer_callback: Any,
        reduce: Callable[[Any], Any] = lambda value: NotImplemented,
    ) -> Any:
        pickler = import_module(self._library).Pickler(
            file, protocol=5, recurse=True, buffer_callback=buffer_callback
        )

        reducers = _CODE_REDUCERS | files

        def reducer_override(value: Any) -> Any:
            reducer = reducers.get(type(value))
            return reduce(value) if reducer is None else reducer(value)

        pickler.reducer_override = reducer_override
        return pickler


def _reduce_code(code: CodeType) -> Any:
    return marshal.loads, (marshal.dumps(code),)


#: dill 0.4.1 pickles no code on Python 3.15 and newer: it reads `co_lnotab`, which is gone there.
_CODE_REDUCERS: Reducers = {} if hasattr(CodeType, "co_lnotab") else {CodeType: _reduce_code}


def _reduce_main_class(value: Any) -> Any:
    """Return the name of a class of the main program; `NotImplemented` for anything else."""
    if is_of_type(value, type) and value.__module__ == "__main__":
        with suppress(AttributeError):  # a class inside a function cannot be found by name
            if attrgetter(value.__qualname__)(sys.modules["__main__"]) is value:
                return value.__qualname__
    return NotImplemented


def _reduce_function_or_main_class(value: Any) -> Any:
    """Do the same, and reduce functions as `dispel4py.pickling.local_copies` does."""
    if is_of_type(value, FunctionType | CellType):
        return reduce_portably(value)
    return _reduce_main_class(value)


def _definitions(codec: WorkerCodec) -> bytes:
    """Return the classes and functions of the main program, as far as they can be pickled."""
    defined = {
        name: value
        for name, value in vars(sys.modules["__main__"]).items()
        if is_of_type(value, type | FunctionType) and value.__module__ == "__main__"
    }
    if not _can_pickle(codec, defined):
        defined = {
            name: value for name, value in defined.items() if _can_pickle(codec, {name: value})
        }
    return codec.by_value(defined)


def _can_pickle(codec: WorkerCodec, defined: dict[str, Any]) -> bool:
    try:
        codec.loads(codec.by_value(defined))
    except Exception:  # a user's metaclass may raise anything
        return False
    return True
