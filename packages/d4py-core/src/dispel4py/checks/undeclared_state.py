"""Detection of state that a PE keeps and does not declare, so that results depend on the mapping.

A PE that changes its own attributes has as many states as there are instances of it.  So the value
of each attribute is noted before the first call, and compared after the first few calls, ever more
rarely, and before the end.  Each PE is reported once per run.

An attribute that was missing or None and is set in the first call counts as initialised, and so
does an object that the first call changes inside, such as a cache; each at most once.
"""

from __future__ import annotations

import copyreg
import functools
import pickle
import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO, StringIO
from types import FunctionType
from typing import Any, NamedTuple

from dispel4py.checks.class_state import class_attributes, describe_class_state
from dispel4py.core import CALL_CONTEXT_ATTRIBUTES, RUNTIME_ATTRIBUTES, GenericPE
from dispel4py.errors import UndeclaredStateError, name_list
from dispel4py.logs import RUN_LOG
from dispel4py.object_types import is_of_type
from dispel4py.result import RunStats

#: Attributes set by a run or by `GenericPE.__init__`.
_RUN_ATTRIBUTES = {*RUNTIME_ATTRIBUTES, *CALL_CONTEXT_ATTRIBUTES, *vars(GenericPE()), "rank"}
#: Checks after so many first batches; after that at four times the number of items each.
_FIRST_CHECKS = 4
#: Bytes of a value that are read; of larger values, pieces at regular distances.
_MAX_BYTES = 4 << 20
_PIECE = 1 << 10
#: Most objects in a value that are pickled, plain values and containers aside.
_MAX_OBJECTS = 10_000
#: Pickles up to this size are kept, to compare the values of those that differ.
_KEPT_BYTES = 1 << 16
#: Buffers up to this size stay in the pickle.
_SMALL_BUFFER = 1 << 12
#: Modules whose objects, such as thread pools, change while a PE uses them.
_CONCURRENCY_MODULES = frozenset({"asyncio", "concurrent", "multiprocessing", "threading"})
_PLAIN = frozenset({int, float, complex, bool, str, bytes, type(None)})
_CONTAINERS = (list, dict, set, bytearray)
#: Files whose copies share nothing with them.
_IN_MEMORY = (BytesIO, StringIO)


class StateWatch:
    """Detects changes of an instance's attributes, and of those of its class.

    Args:
        pe: the instance, preprocessed.
        is_declared: it has state of its own, so that only its class is looked at.

    Attributes:
        next_check: number of items after which to check.
    """

    def __init__(self, pe: GenericPE, *, is_declared: bool = False) -> None:
        self._pe = pe
        self._is_declared = is_declared
        # Read once: a PE cannot add to them during the run.
        self._ignored = _ignored(pe)
        self._noted = dict(self._notes())
        self._initialised: set[str] = set()
        self._checks = 0
        self.next_check = 1

    @property
    def has_any(self) -> bool:
        """Whether there is anything that could change."""
        return bool(self._noted) or not self._is_declared

    def check(self, items: int) -> tuple[str, ...]:
        """Return the names of attributes that have changed, and set `next_check`.

        Args:
            items: number of items processed so far.
        """
        self._checks += 1
        self.next_check = items + 1 if self._checks < _FIRST_CHECKS else 4 * items
        before, self._noted = self._noted, dict(self._notes())
        changed: list[str] = []
        for name in {**before, **self._noted}:
            old, new = before.get(name), self._noted.get(name)
            if old is None or new is None or not _is_same(old, new):
                if name not in self._initialised and self._initialises(old, new):
                    self._initialised.add(name)
                else:
                    changed.append(name)
        return tuple(changed)

    def _initialises(self, old: _Note | None, new: _Note | None) -> bool:
        if old is None or old.value is None:
            return True
        return (
            self._checks == 1
            and new is not None
            and new.value is old.value
            and not is_of_type(new.value, _CONTAINERS)
            and not is_generator(new.value)
        )

    def _notes(self) -> Iterator[tuple[str, _Note]]:
        for name, value in class_attributes(self._pe, self._ignored):
            yield name, _note(value, self._pe)
        for name, value in [] if self._is_declared else [*_all_attributes(self._pe)]:
            if name not in self._ignored:
                yield name, _note(value, self._pe)


class _Note(NamedTuple):
    """A value at one time, to compare a later one with.

    Attributes:
        value: the value.
        data: its pickle, or the first bytes of it; None for an immutable value.
        digest: digest of all that is not in `data`.
        alive: objects in it that are compared by identity.
    """

    value: Any
    data: bytes | None = None
    digest: int = 0
    alive: tuple[Any, ...] = ()


def _ignored(pe: GenericPE) -> frozenset[str]:
    """Return the names of attributes whose changes are ignored."""
    kind: Any = type(pe)
    names = pe.ignored_state
    return _ignored_in(kind).union([names] if isinstance(names, str) else names)


def _attributes(pe: GenericPE) -> dict[str, Any]:
    """Return the attributes of a PE whose changes are not ignored."""
    ignored = _ignored(pe)
    return {name: value for name, value in _all_attributes(pe) if name not in ignored}


def _all_attributes(pe: GenericPE) -> Iterable[tuple[str, Any]]:
    """Return the attributes of a PE, those in ``__slots__`` included."""
    whole: Any = object.__getstate__(pe)
    if isinstance(whole, tuple):
        return (*vars(pe).items(), *whole[1].items())
    return vars(pe).items()


@functools.cache
def _ignored_in(kind: type) -> frozenset[str]:
    cached = {
        name
        for base in kind.__mro__
        for name, entry in vars(base).items()
        if is_of_type(entry, functools.cached_property)
    }
    return frozenset(cached | _RUN_ATTRIBUTES)


def _note(value: Any, pe: GenericPE) -> _Note:
    if type(value) in _PLAIN:
        return _Note(value)
    file = _LimitedFile()
    digest = 0

    def take(buffer: pickle.PickleBuffer) -> bool:
        nonlocal digest
        raw = buffer.raw()
        if raw.nbytes <= _SMALL_BUFFER:
            return True
        digest = _digest(raw, digest)
        return False

    pickler = _ByIdentity(file, pe, take)
    try:
        pickler.dump(value)
    except _LimitReachedError:
        digest = zlib.crc32(file.getbuffer(), digest) + _length(value)
    except Exception:  # a user's class may do anything
        return _Note(value, b"", id(value))
    data = file.getvalue()
    if len(data) > _KEPT_BYTES:
        data, digest = b"", zlib.crc32(data, digest)
    return _Note(value, data, digest, tuple(pickler.alive))


def _is_same(old: _Note, new: _Note) -> bool:
    if old.data is None or new.data is None:
        return bool(old.value == new.value or (old.value != old.value and new.value != new.value))
    if old.digest != new.digest:
        return False
    if old.data == new.data:
        return True
    if not all(is_of_type(value, type | FunctionType) for value in (*old.alive, *new.alive)):
        return False  # a copy that holds an open file would close it when it goes
    try:  # equal values may have pickles that differ, by what they share or the order of a set
        return _is_equal(_Reader(old).load(), _Reader(new).load())
    except Exception:  # a user's class may do anything
        return False


def _is_equal(old: Any, new: Any) -> bool:
    if getattr(old, "shape", None) != getattr(new, "shape", None):
        return False  # arrays of other shapes may count as equal
    equal = old == new
    return bool(equal.all() if hasattr(equal, "all") else equal is True)


def _digest(raw: memoryview, digest: int) -> int:
    size = raw.nbytes
    if size <= _MAX_BYTES:
        return zlib.crc32(raw, digest)
    for start in range(0, size, size * _PIECE // _MAX_BYTES):
        digest = zlib.crc32(raw[start : start + _PIECE], digest)
    return zlib.crc32(raw[-_PIECE:], digest)


def _length(value: Any) -> int:
    try:
        return len(value)
    except Exception:  # it has none, or a user's class raises anything
        return 0


class _LimitReachedError(Exception):
    """The pickle has reached the limit of bytes or objects."""


class _LimitedFile(BytesIO):
    """Stores the first bytes of a pickle."""

    def write(self, data: Any) -> int:
        super().write(memoryview(data)[:_MAX_BYTES])
        if self.tell() >= _MAX_BYTES:
            raise _LimitReachedError
        return len(data)


class _ByIdentity(pickle.Pickler):
    """Pickles a value; objects that cannot be pickled, such as open files, go by identity."""

    def __init__(
        self, file: BytesIO, pe: GenericPE, take: Callable[[pickle.PickleBuffer], bool]
    ) -> None:
        super().__init__(file, protocol=5, buffer_callback=take)
        self._pe = pe
        self._objects = 0
        self.alive: list[Any] = []

    def reducer_override(self, value: Any) -> Any:
        """See `pickle.Pickler`; called for all but plain values and containers."""
        if value is _same_object:
            return NotImplemented
        self._objects += 1
        if self._objects > _MAX_OBJECTS:
            raise _LimitReachedError
        # The finalizer of a copy would release what the original still uses.
        has_finalizer = hasattr(type(value), "__del__") and type(value) not in _IN_MEMORY
        if is_of_type(value, type | FunctionType) or value is self._pe or has_finalizer:
            return self._identity(value)
        if type(value).__module__.partition(".")[0] in _CONCURRENCY_MODULES:
            return self._identity(value)
        if is_of_type(value, GenericPE):  # a PE that wraps another one
            return dict, (_attributes(value),)
        if type(value) in copyreg.dispatch_table:
            return NotImplemented
        try:
            return value.__reduce_ex__(5)
        except Exception:  # it cannot be pickled, or a user's class raises anything
            return self._identity(value)

    def _identity(self, value: Any) -> Any:
        self.alive.append(value)  # keeps the id from being reused
        return _same_object, (id(value),)


class _Reader(pickle.Unpickler):
    """Restores a value from a note, with the objects that go by identity."""

    def __init__(self, note: _Note) -> None:
        super().__init__(BytesIO(note.data or b""))
        self._alive = {id(value): value for value in note.alive}

    def find_class(self, module: str, name: str) -> Any:
        """See `pickle.Unpickler`."""
        found = super().find_class(module, name)
        return self._alive.__getitem__ if found is _same_object else found


def _same_object(number: int) -> Any:
    """Replaces an object that goes by identity in a pickle."""


def is_generator(value: Any) -> bool:
    """Return whether a value is a random number generator of Python or NumPy."""
    kind = type(value)
    return is_of_type(value, random.Random) or kind.__module__.startswith("numpy.random")


def describe_undeclared_state(pe_id: str, attributes: tuple[str, ...]) -> str:
    """Return the message about a PE that keeps undeclared state, or state in its class."""
    in_class = tuple(name for name in attributes if "." in name)
    if in_class:
        return describe_class_state(pe_id, in_class)
    what = "attribute" if len(attributes) == 1 else "attributes"
    which = "it" if len(attributes) == 1 else "them"
    return (
        f"{pe_id} changed its {what} {name_list(attributes)} but does not say that it keeps state:"
        " results may differ with the mapping and the number of processes; set `stateful = True`"
        " (or `single = True`, or a grouping on its input) in the class, or name"
        f" {which} in `ignored_state` if results do not depend on {which}"
    )


def undeclared_state_error(pe_id: str, attributes: tuple[str, ...]) -> UndeclaredStateError:
    """Return the error for a PE that keeps undeclared state."""
    return UndeclaredStateError(pe_id, attributes, describe_undeclared_state(pe_id, attributes))


def shared_files(stats: RunStats) -> dict[str, tuple[str, ...]]:
    """Return the names of the files that several instances of a PE had open for writing, by PE."""
    holders = Counter((entry.pe_id, place) for entry in stats.instances for _, place in entry.files)
    found: dict[str, dict[str, None]] = {}
    for entry in stats.instances:
        for name, place in entry.files:
            if holders[entry.pe_id, place] > 1:
                found.setdefault(entry.pe_id, {})[name] = None
    return {pe_id: tuple(names) for pe_id, names in found.items()}


def describe_shared_files(pe_id: str, names: tuple[str, ...]) -> str:
    """Return the message about a PE whose instances write to the same files."""
    return (
        f"several instances of {pe_id} had {name_list(names)} open for writing and have overwritten"
        " what others wrote; set `single = True` (or `stateful = True`) in the class, or have each"
        " instance write to a file of its own, named by `self.rank`"
    )


class UndeclaredReporter:
    """Logs undeclared state, once for each PE of a run.

    Args:
        on_progress: called after each report; see `RunOptions`.
    """

    def __init__(self, on_progress: Callable[[RunStats], None] | None) -> None:
        self._on_progress = on_progress
        self._reported: set[str] = set()
        self._reported_files: set[str] = set()

    def progress(self, stats: RunStats) -> None:
        """Report undeclared state in the statistics so far."""
        self.report(stats)
        if self._on_progress is not None:
            self._on_progress(stats)

    def report(self, stats: RunStats) -> None:
        """Log a warning about each PE that has changed attributes, or overwrites its files."""
        for entry in stats.instances:
            if entry.changed and entry.pe_id not in self._reported:
                self._reported.add(entry.pe_id)
                RUN_LOG.warning("%s", describe_undeclared_state(entry.pe_id, entry.changed))
        for pe_id, names in shared_files(stats).items():
            if pe_id not in self._reported_files:
                self._reported_files.add(pe_id)
                RUN_LOG.warning("%s", describe_shared_files(pe_id, names))
