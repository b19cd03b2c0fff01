"""Frames, the messages between ranks: their types, and their encoding.

The driver, which feeds the roots and receives the results, counts as one more rank.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from d4py_fixed.engine.transport import LARGE_BYTES, MessageParts
from dispel4py.engine.items.codec import loads_items
from dispel4py.engine.planning.plan_bundle import WorkerCodec
from dispel4py.pickling.interned_strings import TakeBuffer
from dispel4py.result import Failure, InstanceStats

if TYPE_CHECKING:
    from dispel4py.engine.execution.metering import MeterReport


class Items(NamedTuple):
    """A batch for one instance; answered by a `Credit`."""

    pe: int
    instance: int
    input_name: str
    items: list[Any]


class Calls(NamedTuple):
    """A batch of calls for one instance of a root; answered by a `Credit` unless it is empty.

    `last` marks the final batch, and `first` is the number of the first call.
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
    """Permission to send one more frame to an instance, which has processed one.

    `pe` is `RESULTS` for results, whose receiver is the driver.  (Kung, Blackwell, Chapman:
    *Credit-based flow control for ATM networks*, SIGCOMM 1994.)
    """

    pe: int
    instance: int


class InstanceDone(NamedTuple):
    """An instance of this PE is complete; all its items were sent before."""

    pe: int


class PauseRoots(NamedTuple):
    """Roots that have to pause, being too far ahead of an ordered input of this instance.

    An empty tuple resumes those of the last such frame.  In between, items upstream do not wait for
    others, to become a batch.
    """

    pe: int
    instance: int
    roots: tuple[int, ...]


class LogLine(NamedTuple):
    """A line that a PE has logged."""

    pe_id: str
    rank: int
    message: str


class Activity(NamedTuple):
    """What has changed in a rank since the last such frame, in an observed run."""

    report: MeterReport


class RankEnded(NamedTuple):
    """All instances of a rank are complete; their statistics."""

    stats: list[InstanceStats]


class Shutdown(NamedTuple):
    """The driver's last frame: all ranks have ended, so no more frames follow."""


Frame = (
    Items
    | Calls
    | Results
    | Credit
    | InstanceDone
    | PauseRoots
    | LogLine
    | Activity
    | RankEnded
    | Shutdown
)

#: A frame is encoded as a plain tuple: the position of its class here, and the fields.
_TYPES = get_args(Frame)
_POSITIONS = {frame_type: position for position, frame_type in enumerate(_TYPES)}

#: The `Credit.pe` of results.
RESULTS = -1

CODEC = WorkerCodec("dill")


def to_parts(frame: Frame) -> MessageParts:
    """Encode a frame.

    Raises:
        ItemError: an item cannot be pickled.
    """
    buffers: list[memoryview] = []

    def keep_in_pickle(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < LARGE_BYTES:
            return True
        buffers.append(raw)
        return False

    def start_again() -> TakeBuffer:
        buffers.clear()
        return keep_in_pickle

    plain = (_POSITIONS[type(frame)], *frame)
    if isinstance(frame, Calls) and isinstance(frame.calls, list):
        return [CODEC.dumps_calls(plain, frame.calls, start_again), *buffers]
    return [CODEC.dumps(plain, keep_in_pickle), *buffers]


def from_parts(parts: MessageParts) -> Frame:
    """Decode a frame; its large buffers are not copied.

    Raises:
        ItemError: an item cannot be unpickled in this process.
    """
    position, *fields = loads_items(parts[0], parts[1:])
    frame: Frame = _TYPES[position](*fields)
    return frame
