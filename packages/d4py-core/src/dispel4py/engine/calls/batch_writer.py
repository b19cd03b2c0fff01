"""`BatchWriter`: the `PEWriter` of a PE that is called with batches of items.

What such a call writes belongs to no particular item.  So it is refused where each item needs to
have a known origin, and if a part of it was sent, the call cannot be repeated: item by item, the
PE would write in another order.
"""

from __future__ import annotations

import math
from _thread import get_ident
from typing import Any

from dispel4py.engine.calls.pe_writer import PEWriter
from dispel4py.errors import RunError


class BatchWriter(PEWriter):
    """See `PEWriter`.

    Attributes:
        is_final: what the current call, or the last one, has written cannot be taken back: a part
            of it was sent before it was complete, or a thread has written it.
    """

    is_final = False
    _is_single = True
    #: Output name → items that the current call, or the last one, has written; None between calls.
    _wrote: dict[str, int] | None = None

    def begin_call(self, count: int) -> None:
        """Begin a call with a number of items."""
        self._wrote = dict.fromkeys(self._written, 0)
        self.is_final, self._is_single = False, count == 1
        # A call that does not write much is sent as a whole, so that it can be repeated.
        self.sent_at = math.inf

    def end_call(self) -> None:
        """End the call, once its results are written as well."""
        self._wrote = None

    def write(self, name: str, data: Any) -> None:
        if self._wrote is not None and name in self._wrote:
            if type(self._written[name]) is not list:
                raise RunError(
                    f"{self._planned.id} wrote to output {name!r} in _process_batch(); as PEs"
                    " further down use item_ids or ordered inputs, it has to return those items,"
                    " so that it is known what each was made from"
                )
            self._wrote[name] += 1
            if get_ident() != self._monitor.caller:
                self.is_final = True
        super().write(name, data)

    def note_sent(self) -> None:
        if self._wrote is None or not any(self._wrote.values()):
            return  # all that was sent is of earlier calls, or a result
        self.is_final = True
        if not self._is_single:
            self.is_unrepeatable = True

    def take_back(self) -> bool:
        """Remove what the call has written; return False if that cannot be done any more."""
        self._monitor.enter()  # another thread may be sending it, or earlier items
        try:
            if self.is_final or self._wrote is None:
                return False
            for name, count in self._wrote.items():
                if count:
                    items, counter = self._written[name], self._counters[name]
                    counter.bytes -= counter.bytes // len(items) * count
                    del items[-count:]
        finally:
            self._monitor.leave()
        return True
