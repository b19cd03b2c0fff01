"""`Codec`: bytes from objects and back.

Pickle protocol 5 takes nearly everything; what it refuses goes to a fallback that the mapping
provides (dill), so that core needs none.  Unpickling runs code, so a mapping whose bytes cross a
network or a shared server authenticates them first.
"""

from __future__ import annotations

import copyreg
import pickle
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from io import BytesIO
from typing import Any

from dispel4py.engine.items.copying import cannot_carry, cannot_load
from dispel4py.errors import D4pyError, ItemError, RunError, describe_exception
from dispel4py.exceptions.unwinding import reraise_foreign
from dispel4py.files.open_files import (
    KEEP_STANDARD,
    REFUSE_FILES,
    REOPEN_FILES,
    OpenFileError,
    Reducers,
)
from dispel4py.pickling.interned_strings import PrimedMemo, RecordingPickler, TakeBuffer
from dispel4py.pickling.item_pickles import dispatch_table, dumps

#: States of more objects are not searched for new strings each time; see `PrimedMemo`.
MAX_OBJECTS = 10_000
_STATE_ADVICE = "a state can hold plain data, and files that are read, between two calls"
#: How many calls of a root are searched for interned strings, which the others mostly share.
_FIRST_CALLS = 1000


class ForeignBytesError(D4pyError):
    """The bytes are not authenticated with the run's secret; they were not unpickled."""


#: Makes a pickler: for a file, with reducers for open files, with a `buffer_callback`.
MakeFallback = Callable[[Any, Reducers, TakeBuffer | None], Any]


class Codec:
    """Pickles, with fallbacks for what pickle refuses.

    Args:
        fallbacks: each makes another pickler; `pickle.loads` must be able to read its output.
            The second one is for objects in which the first one recurses without end.
    """

    def __init__(self, *fallbacks: MakeFallback) -> None:
        self._fallbacks = fallbacks

    def dumps(
        self, value: Any, buffer_callback: Callable[[pickle.PickleBuffer], bool] | None = None
    ) -> bytes:
        """Return the pickle of an item.

        Args:
            value: the object.
            buffer_callback: see `pickle.dumps`; takes large buffers out of the bytes.

        Raises:
            ItemError: neither pickle nor a fallback can pickle the object; the message names the
                attribute or element that is the cause.
        """
        try:
            return dumps(value, buffer_callback)
        except BaseException as error:  # a user's __reduce__ may raise anything
            reraise_foreign(error)
            reason = error
            for fallback in self._fallbacks:
                file = BytesIO()
                try:
                    fallback(file, REFUSE_FILES, None).dump(value)
                    return file.getvalue()
                except BaseException as another:
                    reraise_foreign(another)
                    reason = another
                    if not isinstance(another, RecursionError):
                        break
            raise cannot_carry(value, reason) from error

    def dumps_pe(self, pe: Any, known: PrimedMemo | None = None) -> bytes:
        """Return the pickle of a PE before the run; interned strings come back interned.

        Args:
            pe: the PE.
            known: the initial memo, which may leave objects out.

        Raises:
            ItemError: see `dumps`.
        """
        return self._dumps_known(pe, PrimedMemo() if known is None else known, KEEP_STANDARD)

    def dumps_state(self, pe: Any, known: PrimedMemo | None = None) -> bytes:
        """Return the pickle of a PE during a run, with the files that the PE reads.

        Args:
            pe: the PE.
            known: the memo of earlier states of the PE.

        Raises:
            ItemError: see `dumps`; or another file is open.
        """
        return self._dumps_known(pe, PrimedMemo() if known is None else known, REOPEN_FILES)

    def dumps_calls(
        self,
        value: Any,
        calls: Sequence[Any],
        make_callback: Callable[[], TakeBuffer] | None = None,
    ) -> bytes:
        """Return the pickle of an object that holds calls of a root; see `dumps_pe` for strings.

        Args:
            value: the object.
            calls: the calls.
            make_callback: makes the `buffer_callback` of a pass; see `PrimedMemo.dumps`.

        Raises:
            ItemError: see `dumps`.
        """
        known = PrimedMemo(MAX_OBJECTS)
        with suppress(ItemError):
            self._dumps_known(calls[:_FIRST_CALLS], known, REFUSE_FILES)
        return self._dumps_known(value, known, REFUSE_FILES, make_callback)

    def _dumps_known(
        self,
        value: Any,
        known: PrimedMemo,
        files: Reducers,
        make_callback: Callable[[], TakeBuffer] | None = None,
    ) -> bytes:
        def make_pickler(file: Any, files: Reducers, take: TakeBuffer | None) -> Any:
            made = RecordingPickler(file, protocol=5, buffer_callback=take)
            made.dispatch_table = {**(dispatch_table() or copyreg.dispatch_table), **files}
            return made

        reason: BaseException = ItemError()
        for number, make in enumerate((make_pickler, *self._fallbacks)):
            known.used_fallback = number > 0
            try:
                return known.dumps(value, partial(_bind_files, make, files), make_callback)
            except BaseException as error:  # a user's __reduce__ may raise anything
                reraise_foreign(error)
                reason = error
                if isinstance(error, OpenFileError) or (
                    number and not isinstance(error, RecursionError)
                ):
                    break
        advice = [_STATE_ADVICE] if files is REOPEN_FILES else []
        raise cannot_carry(value, reason, *advice) from reason

    def loads(self, data: bytes) -> Any:
        """Return the object; only for bytes that this run has made."""
        return pickle.loads(data)


def loads_items(data: Any, buffers: Iterable[Any] = ()) -> Any:
    """Return an object that holds items; only for bytes that this run has made.

    Args:
        data: its pickle.
        buffers: see `pickle.loads`.

    Raises:
        ItemError: an item cannot be unpickled in this process.
    """
    try:
        return pickle.loads(data, buffers=buffers)
    except BaseException as error:  # a user's __setstate__ may raise anything
        reraise_foreign(error)
        raise cannot_load(error) from error


def loads_state(data: bytes, pe_id: str) -> Any:
    """Return a PE, or a snapshot of it, that another process of this run has left.

    Args:
        data: what `Codec.dumps_state` has returned.
        pe_id: id of the PE.

    Raises:
        RunError: the state cannot be unpickled in this process, or a file is not as it was.
    """
    try:
        return pickle.loads(data)
    except RunError:
        raise
    except BaseException as error:  # a user's __setstate__ may raise anything
        reraise_foreign(error)
        raise RunError(
            f"the state that {pe_id} had in another process cannot be unpickled, so that no worker"
            f" can go on with it ({describe_exception(error)})"
        ) from error


def _bind_files(make: MakeFallback, files: Reducers, file: Any, take: TakeBuffer | None) -> Any:
    return make(file, files, take)
