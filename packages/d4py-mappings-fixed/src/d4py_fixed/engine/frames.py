"""What ranks say to each other: frames, as objects and as bytes.

The driver, which feeds the roots and takes the results, speaks as one more rank.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any, NamedTuple

from d4py_fixed.engine.transport import MessageParts
from dispel4py.engine.plan_bundle import WorkerCodec
from dispel4py.errors import ItemError
from dispel4py.pickling.interned_strings import TakeBuffer
from dispel4py.result import Failure, InstanceStats


class Items(NamedTuple):
    """A batch for one instance; answered by a `Credit`."""

    pe: int
    instance: int
    input_name: str
    items: list[Any]


class Calls(NamedTuple):
    """Calls of a root for one instance; answered by a `Credit`.

    `last` says that no more will come, and `first` which number the first one has.
    """

    pe: int
    calls: int | Sequence[dict[str, Any]]
    last: bool
    instance: int = 0
    first: int = 0


class Results(NamedTuple):
    """Results and failures for the driver; answered by a `Credit`."""

    results: list[tuple[str, str, list[Any]]]
    failures: list[Failure]


class Credit(NamedTuple):
    """One frame for this instance was used up (pe -1: one `Results`)."""

    pe: int
    instance: int


class Done(NamedTuple):
    """One instance of this PE is complete: all that it has sent was sent before."""

    pe: int


class Ahead(NamedTuple):
    """An instance with an ordered input: these roots are too far ahead of it; it may be none."""

    pe: int
    instance: int
    roots: tuple[int, ...]


class LogLine(NamedTuple):
    """A PE logged something."""

    pe_id: str
    rank: int
    message: str


class ProgressReport(NamedTuple):
    """What a rank has done so far; `ended` says that it has nothing left to do."""

    stats: list[InstanceStats]
    ended: bool


class Shutdown(NamedTuple):
    """The driver to a rank: all have ended, so nobody will write to you any more."""


Frame = Items | Calls | Results | Credit | Done | Ahead | LogLine | ProgressReport | Shutdown

#: The `Credit.pe` of results.
RESULTS = -1

CODEC = WorkerCodec("dill")

#: Buffers of at least so many bytes travel beside the pickle, not in it.
_LARGE_BYTES = 1 << 15


def to_parts(frame: Frame) -> MessageParts:
    """A frame as bytes.

    Raises:
        ItemError: an item cannot be pickled.
    """
    buffers: list[memoryview] = []

    def beside(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < _LARGE_BYTES:
            return True
        buffers.append(raw)
        return False

    def anew() -> TakeBuffer:
        buffers.clear()
        return beside

    if isinstance(frame, Calls) and isinstance(frame.calls, list):
        return [CODEC.dumps_calls(frame, frame.calls, anew), *buffers]
    return [CODEC.dumps(frame, beside), *buffers]


def from_parts(parts: MessageParts) -> Frame:
    """The frame; large buffers are used as they lie.

    Raises:
        ItemError: an item cannot be made again in this process.
    """
    try:
        frame: Frame = pickle.loads(parts[0], buffers=parts[1:])
    except Exception as error:  # a user's __setstate__ may raise anything
        raise ItemError(
            "an item that was sent cannot be made again in the process that it was sent to"
            f" ({type(error).__name__}: {error})"
        ) from error
    return frame
