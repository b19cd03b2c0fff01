"""State that a PE keeps without saying so is noticed: it would give other numbers elsewhere.

A PE that changes its own attributes, and that several workers may share, has as many states as
there are instances.  So each attribute's value is noted before the first call and compared after
the first few, now and then, and before the end.  Each PE is reported once per run.

An attribute that was not there or None and is set in the first call is taken to be set up, and so
is an object that the first call changes inside, as those do that fill a cache; each at most once.
"""

from __future__ import annotations

import copyreg
import functools
import pickle
import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from types import FunctionType
from typing import Any, NamedTuple

from dispel4py.core import CALL_CONTEXT_ATTRIBUTES, RUNTIME_ATTRIBUTES, GenericPE
from dispel4py.errors import UndeclaredStateError, name_list
from dispel4py.logs import RUN_LOG
from dispel4py.result import RunStats

#: What a run or `GenericPE.__init__` puts there.
_NOT_THE_AUTHORS = {*RUNTIME_ATTRIBUTES, *CALL_CONTEXT_ATTRIBUTES, *vars(GenericPE()), "rank"}
#: Looks after so many batches; after that each has four times as many items before it.
_FIRST_LOOKS = 4
#: Bytes of a value that are looked at; of larger ones, pieces from all over them.
_MOST_BYTES = 4 << 20
_PIECE = 1 << 10
#: So many objects of a value are looked into, of those that are no plain values or containers.
_MOST_OBJECTS = 10_000
#: Pickles are kept to this size, to see whether those that differ are equal.
_KEPT_BYTES = 1 << 16
#: Buffers up to this size stay in the pickle.
_SMALL_BUFFER = 1 << 12
#: Modules whose objects are at work for a PE, a pool of threads say, and change with that.
_MACHINERY = frozenset({"asyncio", "concurrent", "multiprocessing", "threading"})
_PLAIN = frozenset({int, float, complex, bool, str, bytes, type(None)})
_CONTAINERS = (list, dict, set, bytearray)


class StateWatch:
    """Looks for changes of one instance's attributes.

    Args:
        pe: the instance, preprocessed.

    Attributes:
        next_look: after how many items to look.
    """

    def __init__(self, pe: GenericPE) -> None:
        self._pe = pe
        # As they are at the beginning: a PE cannot add to them as it goes.
        self._ignored = _ignored(pe)
        self._noted = dict(self._notes())
        self._set_up: set[str] = set()
        self._looks = 0
        self.next_look = 1

    def look(self, items: int) -> tuple[str, ...]:
        """Return the names of attributes that have changed, and plan the next look.

        Args:
            items: how many were processed so far.
        """
        self._looks += 1
        self.next_look = items + 1 if self._looks < _FIRST_LOOKS else 4 * items
        before, self._noted = self._noted, dict(self._notes())
        changed: list[str] = []
        for name in {**before, **self._noted}:
            old, new = before.get(name), self._noted.get(name)
            if old is None or new is None or not _is_same(old, new):
                if name not in self._set_up and self._is_set_up(old, new):
                    self._set_up.add(name)
                else:
                    changed.append(name)
        return tuple(changed)

    def _is_set_up(self, old: _Note | None, new: _Note | None) -> bool:
        if old is None or old.value is None:
            return True
        return (
            self._looks == 1
            and new is not None
            and new.value is old.value
            and not isinstance(new.value, _CONTAINERS)
            and not is_generator(new.value)
        )

    def _notes(self) -> Iterator[tuple[str, _Note]]:
        for name, value in [*vars(self._pe).items()]:
            if name not in self._ignored:
                yield name, _note(value, self._pe)


class _Note(NamedTuple):
    """What is known of a value later, when it may have changed.

    Attributes:
        value: itself.
        data: its pickle, or its first bytes, if it can change.
        digest: of all that is not in `data`.
        alive: objects that are known by their identity alone.
    """

    value: Any
    data: bytes | None = None
    digest: int = 0
    alive: tuple[Any, ...] = ()


def _ignored(pe: GenericPE) -> frozenset[str]:
    """Return the names of attributes whose changes are of no interest."""
    kind: Any = type(pe)
    names = pe.ignored_state
    return _ignored_in(kind).union([names] if isinstance(names, str) else names)


@functools.cache
def _ignored_in(kind: type) -> frozenset[str]:
    cached = {
        name
        for base in kind.__mro__
        for name, entry in vars(base).items()
        if isinstance(entry, functools.cached_property)
    }
    return frozenset(cached | _NOT_THE_AUTHORS)


def _note(value: Any, pe: GenericPE) -> _Note:
    if type(value) in _PLAIN:
        return _Note(value)
    file = _Beginning()
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
    except _EnoughError:
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
    if not all(isinstance(value, type | FunctionType) for value in (*old.alive, *new.alive)):
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
    if size <= _MOST_BYTES:
        return zlib.crc32(raw, digest)
    for start in range(0, size, size * _PIECE // _MOST_BYTES):
        digest = zlib.crc32(raw[start : start + _PIECE], digest)
    return zlib.crc32(raw[-_PIECE:], digest)


def _length(value: Any) -> int:
    try:
        return len(value)
    except Exception:  # it has none, or a user's class raises anything
        return 0


class _EnoughError(Exception):
    """So many bytes say enough of a value."""


class _Beginning(BytesIO):
    """Takes the first bytes of a pickle."""

    def write(self, data: Any) -> int:
        super().write(memoryview(data)[:_MOST_BYTES])
        if self.tell() >= _MOST_BYTES:
            raise _EnoughError
        return len(data)


class _ByIdentity(pickle.Pickler):
    """Pickles what can be pickled; what cannot is known by its identity, such as an open file."""

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
        if self._objects > _MOST_OBJECTS:
            raise _EnoughError
        # A copy of what cleans up after itself would clean up what the original still uses.
        cleans_up = hasattr(type(value), "__del__")
        if isinstance(value, type | FunctionType) or value is self._pe or cleans_up:
            return self._identity(value)
        if type(value).__module__.partition(".")[0] in _MACHINERY:
            return self._identity(value)
        if isinstance(value, GenericPE):  # one that wraps another
            ignored = _ignored(value)
            return dict, ({k: v for k, v in vars(value).items() if k not in ignored},)
        if type(value) in copyreg.dispatch_table:
            return NotImplemented
        try:
            return value.__reduce_ex__(5)
        except Exception:  # it cannot be pickled, or a user's class raises anything
            return self._identity(value)

    def _identity(self, value: Any) -> Any:
        self.alive.append(value)  # else another object might get its number
        return _same_object, (id(value),)


class _Reader(pickle.Unpickler):
    """Makes a value again from what was noted, with those objects that were known by identity."""

    def __init__(self, note: _Note) -> None:
        super().__init__(BytesIO(note.data or b""))
        self._alive = {id(value): value for value in note.alive}

    def find_class(self, module: str, name: str) -> Any:
        """See `pickle.Unpickler`."""
        found = super().find_class(module, name)
        return self._alive.__getitem__ if found is _same_object else found


def _same_object(number: int) -> Any:
    """Stands in a pickle for an object of that identity."""


def is_generator(value: Any) -> bool:
    """Return whether a value is a generator of random numbers, of Python or NumPy."""
    kind = type(value)
    return isinstance(value, random.Random) or kind.__module__.startswith("numpy.random")


def describe(pe_id: str, attributes: tuple[str, ...]) -> str:
    """Return the message about a PE that keeps undeclared state."""
    what = "attribute" if len(attributes) == 1 else "attributes"
    which = "it" if len(attributes) == 1 else "them"
    return (
        f"{pe_id} changed its {what} {name_list(attributes)} but does not say that it keeps state:"
        " results may differ with the mapping and the number of processes; set `stateful = True`"
        " (or `single = True`, or a grouping on its input) in the class, or name"
        f" {which} in `ignored_state` if results do not depend on {which}"
    )


def undeclared(pe_id: str, attributes: tuple[str, ...]) -> UndeclaredStateError:
    """Return the error for a PE that keeps state without saying so."""
    return UndeclaredStateError(pe_id, attributes, describe(pe_id, attributes))


def shared_files(stats: RunStats) -> dict[str, tuple[str, ...]]:
    """Return the names of the files that several instances of a PE had open for writing, by PE."""
    holders = Counter((entry.pe_id, place) for entry in stats.instances for _, place in entry.files)
    found: dict[str, dict[str, None]] = {}
    for entry in stats.instances:
        for name, place in entry.files:
            if holders[entry.pe_id, place] > 1:
                found.setdefault(entry.pe_id, {})[name] = None
    return {pe_id: tuple(names) for pe_id, names in found.items()}


def describe_files(pe_id: str, names: tuple[str, ...]) -> str:
    """Return what is said of a PE whose instances write to the same files."""
    return (
        f"several instances of {pe_id} had {name_list(names)} open for writing and have overwritten"
        " what others wrote; set `single = True` (or `stateful = True`) in the class, or have each"
        " instance write to a file of its own, named by `self.rank`"
    )


class UndeclaredReporter:
    """Reports undeclared state, once for each PE of a run.

    Args:
        on_progress: see `RunOptions`; is called after that.
    """

    def __init__(self, on_progress: Callable[[RunStats], None] | None) -> None:
        self._on_progress = on_progress
        self._reported: set[str] = set()
        self._reported_files: set[str] = set()

    def progress(self, stats: RunStats) -> None:
        """Report what has turned out so far."""
        self.report(stats)
        if self._on_progress is not None:
            self._on_progress(stats)

    def report(self, stats: RunStats) -> None:
        """Log a warning about each PE that has changed attributes, or overwrites its files."""
        for entry in stats.instances:
            if entry.changed and entry.pe_id not in self._reported:
                self._reported.add(entry.pe_id)
                RUN_LOG.warning("%s", describe(entry.pe_id, entry.changed))
        for pe_id, names in shared_files(stats).items():
            if pe_id not in self._reported_files:
                self._reported_files.add(pe_id)
                RUN_LOG.warning("%s", describe_files(pe_id, names))
