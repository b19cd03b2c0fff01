"""Names of a run's keys in Redis, and the form in which tasks and results lie there.

All keys of a run share one prefix, so that runs side by side on one server do not meet.  Every
entry of a stream has one field ``d``: a pickle with a keyed hash in front.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from d4py_dynamic.packing import CODEC, dumps
from d4py_dynamic.tasks import ANY, Pin, Task
from dispel4py.codec import ForeignBytesError, Seal

GROUP = "workers"
#: Fields of entries: what is in it, the PE that it counts for, losses and position of a lease.
FIELD, COUNTED, LOSSES, POSITION = b"d", b"p", b"n", b"r"
DRAINED_FIELD = b"drained"
#: Field of the hash of counts that is there as long as nobody has deleted that hash.
INTACT = "intact"
#: Field of the same hash: how many workers have joined so far.
JOINED = "joined"


@dataclass(frozen=True)
class RunKeys:
    """The names of one run's keys.

    Attributes:
        prefix: what they all begin with.
        pins: (PE number, instance) of all pinned instances.
    """

    prefix: str
    pins: tuple[Pin, ...]

    def named(self, name: str) -> str:
        return f"{self.prefix}:{name}"

    @property
    def out(self) -> str:
        return self.named("out")

    @property
    def shared(self) -> str:
        return self.named("shared")

    def pin(self, pe: int, instance: int) -> str:
        return self.named(f"pin:{pe}:{instance}")

    def inbox(self, rank: int | str) -> str:
        return self.named(f"inbox:{rank}")

    def stream_of(self, task: Task) -> str:
        return self.shared if task.instance == ANY else self.pin(task.pe, task.instance)

    def streams(self, joined: int) -> list[str]:
        """All streams that tasks lie in.

        Args:
            joined: how many workers have joined so far.
        """
        return [
            self.shared,
            *(self.pin(pe, instance) for pe, instance in self.pins),
            *(self.inbox(rank) for rank in range(joined)),
        ]

    def all(self, joined: int) -> list[str]:
        """All keys that the run may have; see `streams`."""
        return [*self.streams(joined), self.out, *map(self.named, _OTHERS)]


#: Keys that are no streams.
_OTHERS = (
    *("unfinished", "watched", "hungry", "parked", "replicas", "calls", "busy"),
    *("members", "states", "positions", "losses", "begun"),
)


def consumer(rank: int) -> str:
    """Name of a worker in the group of those who read tasks."""
    return f"worker-{rank}"


def pin_name(pin: Pin) -> str:
    """Name of a pinned instance in the hashes of states and positions."""
    return f"{pin[0]}/{pin[1]}"


class Envelope:
    """Objects as entries of streams, guarded by the run's secret."""

    def __init__(self, secret: bytes) -> None:
        self._seal = Seal(secret)

    def wrap(self, value: Any, place: str) -> bytes:
        """An object, pickled and sealed for a place, such as field `FIELD` of a stream's entry.

        Raises:
            ItemError: the object cannot be pickled.
        """
        return self.seal(dumps(value), place)

    def seal(self, data: bytes, place: str) -> bytes:
        """Bytes, sealed for a place."""
        return self._seal.close(data, place.encode())

    def unseal(self, sealed: bytes, place: str) -> bytes:
        """The bytes.

        Raises:
            ForeignBytesError: they were not sealed by this run, for this place.
        """
        return self._seal.open(sealed, place.encode())

    def open(self, sealed: bytes, place: str) -> Any:
        """The object; raises as `unseal` does."""
        return CODEC.loads(self.unseal(sealed, place))

    def unwrap(self, fields: Mapping[bytes, bytes], stream: str) -> Any:
        """The object in an entry of a stream; raises as `unseal` does."""
        if FIELD not in fields:
            raise ForeignBytesError(f"an entry without field 'd' at {stream}")
        return self.open(fields[FIELD], stream)
