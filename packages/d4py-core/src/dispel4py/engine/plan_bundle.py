"""Plans and items on their way to worker processes: as bytes that can be opened there.

A plan travels without its PEs, and each PE by itself, so that a process opens those that it runs,
when it starts them.  Large arrays are no part of those bytes: a forked worker has them already, and
goes on with its parent's pages until it writes to them.
"""

from __future__ import annotations

import copy
import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from operator import attrgetter
from types import CellType, FunctionType
from typing import Any

from dispel4py.core import GROUPING, NAME, OPTIONAL, ORDERED, TYPE, GenericPE
from dispel4py.engine.codec import Codec
from dispel4py.engine.copying import cannot_carry
from dispel4py.engine.plan import Plan, PlannedPE
from dispel4py.engine.runner import modules_of
from dispel4py.engine.unique_arrays import is_array
from dispel4py.errors import GraphError, ItemError, RunError
from dispel4py.exceptions.unwinding import let_pass
from dispel4py.files.open_files import REFUSED, Reducers
from dispel4py.loading import Origin, loaded_sources, release_graphs, restore_module
from dispel4py.pickling.interned_strings import PrimedMemo, loads_with
from dispel4py.pickling.local_copies import reduce_for_elsewhere
from dispel4py.pickling.rebuilding import OwnPE, may_be_rebuilt, pes_made_by
from dispel4py.processes.start_methods import imports_main, main_is_shared

#: Arrays and bytearrays of so many bytes are left out of the bytes of a PE.
_LARGE_BYTES = 1 << 20


@dataclass
class SerializedPE:
    """A PE on its way.

    Attributes:
        data: its bytes.
        apart: large objects that are left out of them.
        is_shared: for each of those, whether something else of the plan has the same memory.
    """

    data: bytes
    apart: list[Any]
    is_shared: list[bool]


@dataclass
class PlanBundle:
    """A packed plan; picklable in any way of starting processes.

    Attributes:
        plan: the plan, with stand-ins for its PEs.
        pes: the PEs, by number; None for those that are taken from the graph at `origin`.
        definitions: what a main program defines that workers cannot import; empty if they can.
        modules: name, source and file name of modules that were loaded from files.
        argv: ``sys.argv`` as those modules saw it.
        process: number of the process that packed it.
        origin: where the process that opens it finds a graph of its own.
    """

    plan: bytes
    pes: dict[int, SerializedPE | None]
    definitions: bytes
    modules: tuple[tuple[str, str, str], ...]
    argv: tuple[str, ...]
    process: int
    origin: Origin | None = None

    def of(self, pes: Collection[int]) -> PlanBundle:
        """Return the same with some of its PEs alone."""
        return replace(self, pes={pe: self.pes[pe] for pe in pes})

    def look(self, codec: Codec) -> Plan:
        """Return the plan for a driver that only took it up: no PE of it can be run.

        Raises:
            RunError: see `open`.
        """
        return self._looked_at(codec)[0]

    def _looked_at(self, codec: Codec) -> tuple[Plan, list[Any]]:
        """Return the plan, and the PEs of the graph that is made here, if some are needed."""
        sys.argv = list(self.argv)
        own: list[Any] = []
        with _made_again():
            for module in self.modules:
                restore_module(*module)
            if self.origin is not None and None in self.pes.values():
                own = pes_made_by(self.origin)
            release_graphs()
            if self.definitions:
                vars(sys.modules["__main__"]).update(codec.loads(self.definitions))
            plan: Plan = codec.loads(self.plan)
        return plan, own

    def open(
        self, codec: Codec, times: Mapping[int, int] | None = None, *, last: bool = False
    ) -> Plan:
        """Return the plan, in a worker process; its PEs are opened when instances are started.

        Args:
            codec: the codec that it was packed by.
            times: number of a PE → how many instances of it are started here, at the most; None if
                that may be all of any PE.
            last: the bundle is not opened again, so that it keeps nothing.

        Raises:
            RunError: a module raises here, or lacks something that the plan needs; opening a PE may
                raise it as well.
        """
        packed = self.pes
        plan, own = self._looked_at(codec)
        if last:
            self.pes = {}
        owns = self.process != os.getpid()
        pes = list(plan.pes)
        for number, packed_pe in packed.items():
            if packed_pe is None:
                pes[number] = replace(pes[number], make=OwnPE(own[number]))
                continue
            if times is not None:
                count: int | None = times.get(number, 0)
            else:  # an instance may have to be made again from what another process has left
                count = 1 if pes[number].instances == 1 else None
            pes[number] = replace(pes[number], make=_Maker(packed_pe, count, owns=owns))
        return replace(plan, pes=tuple(pes))


class _Maker:
    """Opens a packed PE, once per instance.

    Args:
        packed: the PE.
        times: how often, if that is known: it is released then.
        owns: what is apart is this process's own, so that the last instance may have it.
    """

    def __init__(self, packed: SerializedPE, times: int | None, *, owns: bool) -> None:
        self._packed: SerializedPE | None = packed
        self._left = times
        self._owns = owns

    def __call__(self) -> GenericPE:
        packed = self._packed
        assert packed is not None
        is_last = False
        if self._left is not None:
            self._left -= 1
            is_last = self._left <= 0
        if is_last:
            self._packed = None
        hands_over = is_last and self._owns

        def apart(place: int) -> Any:
            value = packed.apart[place]
            as_it_is = hands_over and not packed.is_shared[place] and _is_writable(value)
            return value if as_it_is else copy.deepcopy(value)

        with _made_again():
            pe: GenericPE = loads_with(packed.data, apart)
        return pe


@contextmanager
def _made_again() -> Iterator[None]:
    """Raise what goes wrong inside as an error of the run."""
    try:
        yield
    except RunError:
        raise
    except BaseException as error:  # a user's module may raise anything
        let_pass(error)
        reason = traceback.format_exception_only(error)[-1].strip()
        raise RunError(
            f"a worker process cannot make the workflow again: {reason}; what is defined at a"
            " prompt or in a notebook has to be put into a file, or else workers be forked"
        ) from error


def pack(
    plan: Plan,
    codec: WorkerCodec,
    start_method: str | None = None,
    *,
    elsewhere: bool = False,
    origin: Origin | None = None,
) -> PlanBundle:
    """Pack a plan.

    Args:
        plan: the plan.
        codec: the codec of whoever opens it.
        start_method: how workers are started; None if by default.
        elsewhere: there may also be workers that another program has started, on another host.
        origin: where each worker finds a graph of its own: PEs that cannot be pickled are taken
            from there.  A worker may have one instance of each.

    Raises:
        GraphError: PEs that cannot be pickled; each is named with the attribute to blame.
        RunError: this process imports the main script, to become a worker itself.
    """
    if imports_main():  # before anything is started or written that would have to be undone
        raise RunError("run() was called while a worker process imported the main script")
    modules, argv = tuple(loaded_sources()), tuple(sys.argv)
    shared = main_is_shared(start_method) and not elsewhere
    definitions = b"" if shared else _definitions(codec)
    pes: dict[int, SerializedPE | None] = {}
    problems: list[str] = []
    for planned in plan.pes:
        try:
            pes[planned.index] = _packed(planned, codec)
        except ItemError as error:
            if origin is not None and may_be_rebuilt(planned.pe):
                pes[planned.index] = None
            else:
                problems.append(f"{planned.id}: {error}")
    if not problems:
        light = [replace(planned, pe=_stand_in(planned.pe)) for planned in plan.pes]
        try:
            data = codec.dumps_pe(replace(plan, pes=tuple(light)))
        except ItemError as error:
            problems.append(str(error))
    if problems:
        raise GraphError(problems)
    pickled = [packed for packed in pes.values() if packed is not None]
    users = Counter(id(_owner(value)) for packed in pickled for value in packed.apart)
    for packed in pickled:
        packed.is_shared = [users[id(_owner(value))] > 1 for value in packed.apart]
    return PlanBundle(data, pes, definitions, modules, argv, os.getpid(), origin)


def _packed(planned: PlannedPE, codec: Codec) -> SerializedPE:
    pe = planned.pe
    known = PrimedMemo(is_apart=_is_large)
    data = codec.dumps_pe(pe, known)
    if known.fell_back:  # the fallback takes locks and the like, of which there can be no copy
        try:
            copy.deepcopy(pe, {**modules_of(pe), **{id(value): value for value in known.apart}})
        except Exception as error:  # a user's __deepcopy__ may raise anything
            raise cannot_carry(pe, error) from error
    return SerializedPE(data, known.apart, [])


def _stand_in(pe: GenericPE) -> GenericPE:
    """Return what a plan needs to know of a PE, without the PE."""
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


def _is_large(value: Any) -> bool:
    """Return whether it is a large array or bytearray, in memory that a fork copies on write."""
    if type(value) is bytearray:
        return len(value) >= _LARGE_BYTES
    if not is_array(value) or value.nbytes < _LARGE_BYTES:
        return False
    owner = _owner(value)
    if is_array(owner):
        return bool(owner.flags.owndata)
    return type(owner) in (bytearray, bytes)


def _is_writable(value: Any) -> bool:
    """Return whether it can be written to, as a copy can; else the way of a PE would show."""
    return type(value) is bytearray or bool(value.flags.writeable)


def _owner(value: Any) -> Any:
    """Return the object whose memory an array shows: another array's, or a buffer's."""
    while True:
        base = value.obj if type(value) is memoryview else getattr(value, "base", None)
        if base is None:
            return value
        value = base


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
        super().__init__(self._by_name, self._without_recursion)
        self._library = library

    def by_value(self, value: Any) -> bytes:
        """Bytes that bring the classes of the main program along."""
        return PrimedMemo().dumps(value, lambda file, beside: self._pickler(file, REFUSED, beside))

    def _by_name(self, file: Any, files: Reducers, beside: Any) -> Any:
        return self._pickler(file, files, beside, _class_of_main)

    def _without_recursion(self, file: Any, files: Reducers, beside: Any) -> Any:
        # dill 0.4 follows a function that refers to itself for ever
        return self._pickler(file, files, beside, _function_or_class_of_main)

    def _pickler(
        self,
        file: Any,
        files: Reducers,
        beside: Any,
        reduce: Callable[[Any], Any] = lambda value: NotImplemented,
    ) -> Any:
        pickler = import_module(self._library).Pickler(
            file, protocol=5, recurse=True, buffer_callback=beside
        )

        def reducer_override(value: Any) -> Any:
            reducer = files.get(type(value))
            return reduce(value) if reducer is None else reducer(value)

        pickler.reducer_override = reducer_override
        return pickler


def _class_of_main(value: Any) -> Any:
    """The name of a class that every process has; `NotImplemented` for anything else."""
    if isinstance(value, type) and value.__module__ == "__main__":
        with suppress(AttributeError):  # a class inside a function cannot be found by name
            if attrgetter(value.__qualname__)(sys.modules["__main__"]) is value:
                return value.__qualname__
    return NotImplemented


def _function_or_class_of_main(value: Any) -> Any:
    """Do the same, and take functions as `dispel4py.pickling.local_copies` takes them apart."""
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
