"""Pickles from which interned strings come back interned, so that ``option is "mean"`` still holds.

Python interns the names and string constants of a program, and some programs compare them by
``is``, but pickle preserves only the characters of a string.  `PrimedMemo` puts such strings into
the memo of a pickle before the pickler begins: the first opcodes create them by `sys.intern`, and
the rest of the pickle refers to them.  So there is no Python call per object, and `pickle.loads`
reads the result.  Large objects that the reader has already are left out by the same means.
"""

from __future__ import annotations

import marshal
import pickle
from collections.abc import Callable
from io import BytesIO
from typing import Any

#: `buffer_callback` of `pickle.Pickler`.
TakeBuffer = Callable[[pickle.PickleBuffer], Any]
#: Makes a pickler of protocol 5 that writes to a file: a `RecordingPickler`, or one in Python.
MakePickler = Callable[[Any, TakeBuffer | None], Any]

#: Types of objects that are neither strings nor ever left out.
_SMALL = frozenset({int, float, bool, complex, type(None), tuple, list, dict, set})
_START = pickle.PROTO + b"\x05"
#: A memo with more strings than this is reset.
_MAX_STRINGS = 1000
#: Most passes over a value; more than two only if pickling creates new objects in each pass.
_PASSES = 6
#: How `marshal` begins the bytes of an interned string, in its versions so far.
_INTERNED = b"tAZ"


class PrimedMemo:
    """The initial memo of one or more pickles of the same object.

    Args:
        max_objects: a later version of a value with more objects is not searched for new strings,
            which would take longer than to pickle it; None for no limit.
        is_external: returns whether to leave an object out; None leaves out none.

    Attributes:
        external: the objects that the last pickle leaves out, for `loads_with`.
        used_fallback: the last pickle was made by a codec's fallback.
    """

    def __init__(
        self, max_objects: int | None = None, is_external: Callable[[Any], bool] | None = None
    ) -> None:
        self._max_objects = max_objects
        self._is_external = is_external
        self.used_fallback = False
        self._is_large = False
        self._reset()

    def dumps(
        self,
        value: Any,
        make_pickler: MakePickler,
        make_callback: Callable[[], TakeBuffer] | None = None,
    ) -> bytes:
        """Return the pickle of a value; each pass makes a pickler and a `buffer_callback`."""
        known: dict[int, Any] = {}
        if self._is_external is not None:  # so that large objects are never written
            self._learn(_recorded_dump(make_pickler(NullFile(), drop_buffer), value), known)
        for left in reversed(range(_PASSES)):
            file = BytesIO()
            file.write(self._opening)
            pickler = make_pickler(file, None if make_callback is None else make_callback())
            pickler.memo = self._memo.copy()
            seen: list[Any] | None = None
            if self._is_large:  # as the last version was, so that nothing is learned from it
                pickler.dump(value)
            else:
                seen = _recorded_dump(pickler, value)
            self._is_large = (
                self._max_objects is not None
                and bool(self._memo)
                and _objects(file) > self._max_objects
            )
            if not left or self._is_large or (seen is not None and not self._learn(seen, known)):
                break
        return file.getvalue()

    def _reset(self) -> None:
        self.external: list[Any] = []
        self._memo: dict[int, tuple[int, Any]] = {}
        self._opening = _START

    def _learn(self, seen: list[Any], known: dict[int, Any]) -> bool:
        """Add what a pickler has met to the memo; return False if there is nothing to add.

        Args:
            seen: the objects.
            known: those of earlier passes, by id, but for small ones and those that were in the
                memo; these are added.
        """
        memo, is_external = self._memo, self._is_external
        found = {id(v): v for v in seen if id(v) not in memo and type(v) not in _SMALL}
        values = [value for key, value in found.items() if key not in known]
        known |= found
        strings = [value for value in values if type(value) is str and is_interned(value)]
        external: list[Any] = []
        if is_external is not None:
            external = [v for v in values if type(v) is not str and is_external(v)]
        are_made_anew = bool(external and memo)  # created by pickling, in each pass
        if are_made_anew:
            self._is_external = None
        if are_made_anew or (strings and len(memo) > _MAX_STRINGS):
            self._reset()
            known.clear()
            return True
        opening = [self._opening]
        for string in strings:
            data = string.encode("utf-8", "surrogatepass")
            made = pickle.BINUNICODE + _number(len(data)) + data + pickle.TUPLE1 + pickle.REDUCE
            opening += [b"csys\nintern\n", made, self._put(string)]
        for index, value in enumerate(external):
            opening += [pickle.BININT + _number(index), pickle.BINPERSID, self._put(value)]
        self.external += external
        self._opening = b"".join(opening)
        return bool(strings or external)

    def _put(self, value: Any) -> bytes:
        index = len(self._memo)
        self._memo[id(value)] = index, value
        return pickle.LONG_BINPUT + _number(index) + pickle.POP


def loads_with(data: bytes, load_external: Callable[[int], Any]) -> Any:
    """Return the value of a pickle that objects were left out of.

    Args:
        data: the pickle.
        load_external: returns such an object, by its index in `PrimedMemo.external`.
    """
    return _Unpickler(BytesIO(data), load_external).load()


def is_interned(value: Any) -> bool:
    """Return whether a value is an interned string of more than one character.

    Strings of one character are always the same object.
    """
    return type(value) is str and len(value) > 1 and marshal.dumps(value)[0] & 0x7F in _INTERNED


class RecordingPickler(pickle.Pickler):
    """Takes a ``persistent_id``, which Python 3.13 refuses to instances of the base class."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BytesIO, load_external: Callable[[int], Any]) -> None:
        super().__init__(file)
        self._load_external = load_external

    def persistent_load(self, pid: Any) -> Any:
        return self._load_external(pid)


class NullFile:
    """A file that discards what is written."""

    def write(self, data: Any) -> int:
        return len(data)


def drop_buffer(buffer: pickle.PickleBuffer) -> None:
    """Leave a buffer out of a pickle."""


def _recorded_dump(pickler: Any, value: Any) -> list[Any]:
    """Pickle a value; return each object that was met, more than once if it was met so often.

    `persistent_id` is called with each object.  To read the pickler's memo afterwards instead takes
    six times as long and, for the time being, twice the memory of the objects.
    """
    seen: list[Any] = []
    pickler.persistent_id = seen.append  # returns None, so that the object is pickled
    pickler.dump(value)
    return seen


def _objects(file: BytesIO) -> int:
    """Return an upper bound of the memoized objects in a pickle."""
    return file.getvalue().count(pickle.MEMOIZE)


def _number(value: int) -> bytes:
    return value.to_bytes(4, "little")
