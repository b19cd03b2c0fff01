"""Bytes from objects and back.

Pickle protocol 5 carries nearly everything; what it refuses goes to a fallback that the mapping
brings (dill), so that core needs none.  Unpickling runs code, so a mapping whose bytes cross a
network or a shared server makes sure first that the run itself has made them.
"""

from __future__ import annotations

import copyreg
import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from io import BytesIO
from typing import Any

from dispel4py.engine.copying import cannot_carry
from dispel4py.errors import D4pyError, ItemError
from dispel4py.exceptions.unwinding import let_pass
from dispel4py.files.open_files import CARRIED, REFUSED, OpenFileError, Reducers
from dispel4py.pickling.interned_strings import PrimedMemo, TakeBuffer
from dispel4py.pickling.writable_arrays import dispatch_table, dumps

#: States of more objects than that are not looked through each time; see `PrimedMemo`.
MOST_OBJECTS = 10_000
_STATE_ADVICE = "a state can hold plain data, and files that are read, between two calls"
#: How many calls of a root are looked through for interned strings, which the others mostly share.
_FIRST_CALLS = 1000


class ForeignBytesError(D4pyError):
    """Bytes that nobody with the run's secret has made; they were not unpickled."""


#: Makes a pickler: for a file, with reducers for open files, with a `buffer_callback`.
MakeFallback = Callable[[Any, Reducers, TakeBuffer | None], Any]


class Codec:
    """Pickles, with fallbacks for what pickle refuses.

    Args:
        fallbacks: each makes another pickler; what that writes must be readable by `pickle.loads`.
            The second one is for what the first one follows for ever.
    """

    def __init__(self, *fallbacks: MakeFallback) -> None:
        self._fallbacks = fallbacks

    def dumps(
        self, value: Any, beside: Callable[[pickle.PickleBuffer], bool] | None = None
    ) -> bytes:
        """Return the pickle of an item.

        Args:
            value: the object.
            beside: `buffer_callback` of `pickle.dumps`: takes large buffers out of the bytes.

        Raises:
            ItemError: neither pickle nor a fallback takes it; the message names the part that is to
                blame.
        """
        try:
            return dumps(value, beside)
        except BaseException as error:  # a user's __reduce__ may raise anything
            let_pass(error)
            reason = error
            for fallback in self._fallbacks:
                file = BytesIO()
                try:
                    fallback(file, REFUSED, None).dump(value)
                    return file.getvalue()
                except BaseException as another:
                    let_pass(another)
                    reason = another
                    if not isinstance(another, RecursionError):
                        break
            raise cannot_carry(value, reason) from error

    def dumps_pe(self, pe: Any, known: PrimedMemo | None = None) -> bytes:
        """Return the pickle of a PE as it was made: interned strings come back interned.

        Args:
            pe: the PE.
            known: what it may leave out, if anything.

        Raises:
            ItemError: see `dumps`.
        """
        return self._dumps_known(pe, PrimedMemo() if known is None else known, REFUSED)

    def dumps_state(self, pe: Any, known: PrimedMemo | None = None) -> bytes:
        """Do the same for a PE in the middle of a run: files that it reads go with it.

        Args:
            pe: the PE.
            known: what is known of earlier states of it.

        Raises:
            ItemError: see `dumps`; so does any other open file.
        """
        return self._dumps_known(pe, PrimedMemo() if known is None else known, CARRIED)

    def dumps_calls(
        self, value: Any, calls: Sequence[Any], beside: Callable[[], TakeBuffer] | None = None
    ) -> bytes:
        """Return the pickle of what holds calls of a root; strings come back as in a PE.

        Args:
            value: that, whatever it is.
            calls: the calls.
            beside: as in `dumps`, but made anew for each pass.

        Raises:
            ItemError: see `dumps`.
        """
        known = PrimedMemo(MOST_OBJECTS)
        with suppress(ItemError):
            self._dumps_known(calls[:_FIRST_CALLS], known, REFUSED)
        return self._dumps_known(value, known, REFUSED, beside)

    def _dumps_known(
        self,
        value: Any,
        known: PrimedMemo,
        files: Reducers,
        beside: Callable[[], TakeBuffer] | None = None,
    ) -> bytes:
        def pickler(file: Any, files: Reducers, take: TakeBuffer | None) -> Any:
            made = pickle.Pickler(file, protocol=5, buffer_callback=take)
            made.dispatch_table = {**(dispatch_table() or copyreg.dispatch_table), **files}
            return made

        reason: Exception = ItemError()
        for number, make in enumerate((pickler, *self._fallbacks)):
            known.fell_back = number > 0
            try:
                return known.dumps(value, partial(_made, make, files), beside)
            except Exception as error:  # a user's __reduce__ may raise anything
                reason = error
                if isinstance(error, OpenFileError) or (
                    number and not isinstance(error, RecursionError)
                ):
                    break
        advice = [_STATE_ADVICE] if files is CARRIED else []
        raise cannot_carry(value, reason, *advice) from reason

    def loads(self, data: bytes) -> Any:
        """The object; only for bytes that are known to be our own."""
        return pickle.loads(data)


def _made(make: MakeFallback, files: Reducers, file: Any, take: TakeBuffer | None) -> Any:
    return make(file, files, take)
