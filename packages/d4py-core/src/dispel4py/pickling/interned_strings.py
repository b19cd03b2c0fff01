"""Pickles from which interned strings come back interned, so that ``option is "mean"`` still holds.

Python interns the names and words of a program, and some programs compare them by ``is``.  A
pickle carries a string by its characters alone.  Here such strings are put into the memo of a
pickle before it begins: its first opcodes have `sys.intern` make them, and all that follows refers
to them.  So the pickler runs at its own speed, with no call of ours per object, and `pickle.loads`
reads what it makes.  Large objects can be left out of a pickle by the same means, where the reader
has them already.
"""

from __future__ import annotations

import marshal
import pickle
from collections.abc import Callable
from io import BytesIO
from typing import Any

#: `buffer_callback` of `pickle.Pickler`.
TakeBuffer = Callable[[pickle.PickleBuffer], Any]
#: Makes a pickler of protocol 5 that writes to a file.
MakePickler = Callable[[Any, TakeBuffer | None], Any]

_START = pickle.PROTO + b"\x05"
#: With so many strings, a collection that lasts is begun anew.
_MOST_KNOWN = 1000
#: Passes over a value; more than two only if each one finds objects that were just made.
_PASSES = 6
#: How `marshal` begins the bytes of an interned string, in its versions so far.
_INTERNED = b"tAZ"


class PrimedMemo:
    """Holds what is in the memo of a pickle before it begins; of use for several pickles.

    Args:
        most: a later version of a value with more objects than that is not looked through for
            strings that have joined it, which would take longer than to pickle it; None looks
            through all.
        is_apart: says which objects to leave out; None leaves out none.

    Attributes:
        apart: the objects that the last pickle leaves out, for `loads_with`.
        fell_back: the last pickle is one of a codec's fallback.
    """

    def __init__(
        self, most: int | None = None, is_apart: Callable[[Any], bool] | None = None
    ) -> None:
        self._most = most
        self._is_apart = is_apart
        self.fell_back = False
        self._forget()

    def dumps(
        self,
        value: Any,
        make_pickler: MakePickler,
        beside: Callable[[], TakeBuffer] | None = None,
    ) -> bytes:
        """Return the pickle of a value; the pickler, and `beside`, are made anew for each pass."""
        if self._is_apart is not None:  # so that large objects are never written
            pickler = make_pickler(_Nowhere(), _drop)
            pickler.dump(value)
            self._learn(pickler.memo.copy())
        for left in reversed(range(_PASSES)):
            file = BytesIO()
            file.write(self._opening)
            pickler = make_pickler(file, None if beside is None else beside())
            pickler.memo = self._memo.copy()
            pickler.dump(value)
            is_large = self._most is not None and self._memo and _objects(file) > self._most
            if not left or is_large or not self._learn(pickler.memo.copy()):
                break
        return file.getvalue()

    def _forget(self) -> None:
        self.apart: list[Any] = []
        self._memo: dict[int, tuple[int, Any]] = {}
        self._opening = _START

    def _learn(self, seen: dict[int, tuple[int, Any]]) -> bool:
        """Take note of what a pickler has met; False if nothing of interest in it is new."""
        values = [value for key, (_, value) in seen.items() if key not in self._memo]
        strings = [*filter(is_interned, values)]
        apart = [] if self._is_apart is None else [*filter(self._is_apart, values)]
        if apart and self._memo:  # they are made while they are pickled, anew each time
            self._is_apart = None
            self._forget()
            return True
        if strings and len(self._memo) > _MOST_KNOWN:
            self._forget()
            return True
        opening = [self._opening]
        for string in strings:
            data = string.encode("utf-8", "surrogatepass")
            made = pickle.BINUNICODE + _number(len(data)) + data + pickle.TUPLE1 + pickle.REDUCE
            opening += [b"csys\nintern\n", made, self._put(string)]
        for place, value in enumerate(apart):
            opening += [pickle.BININT + _number(place), pickle.BINPERSID, self._put(value)]
        self.apart += apart
        self._opening = b"".join(opening)
        return bool(strings or apart)

    def _put(self, value: Any) -> bytes:
        place = len(self._memo)
        self._memo[id(value)] = place, value
        return pickle.LONG_BINPUT + _number(place) + pickle.POP


def loads_with(data: bytes, apart: Callable[[int], Any]) -> Any:
    """Return the value of a pickle that objects were left out of.

    Args:
        data: the pickle.
        apart: gives such an object, by its place in `PrimedMemo.apart`.
    """
    return _Unpickler(BytesIO(data), apart).load()


def is_interned(value: Any) -> bool:
    """Return True for an interned string; those of one character are all alike anyway."""
    return type(value) is str and len(value) > 1 and marshal.dumps(value)[0] & 0x7F in _INTERNED


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BytesIO, apart: Callable[[int], Any]) -> None:
        super().__init__(file)
        self._apart = apart

    def persistent_load(self, pid: Any) -> Any:
        return self._apart(pid)


class _Nowhere:
    """A file that keeps nothing."""

    def write(self, data: Any) -> int:
        return len(data)


def _drop(buffer: pickle.PickleBuffer) -> None:
    """Leave a buffer out of a pickle."""


def _objects(file: BytesIO) -> int:
    """Return about how many objects that may be referred to again are in a pickle, at most."""
    return file.getvalue().count(pickle.MEMOIZE)


def _number(value: int) -> bytes:
    return value.to_bytes(4, "little")
