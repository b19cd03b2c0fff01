"""Names of a run's keys in Redis, and the form in which tasks and results lie there.

All keys of a run share one prefix, so that runs side by side on one server do not meet.  Every
entry of a stream has one field ``d``: a pickle with a keyed hash in front.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import dill

from d4py_dynamic.store import Results
from d4py_dynamic.tasks import ANY, Task
from dispel4py.codec import ForeignBytesError, Seal
from dispel4py.errors import ItemError
from dispel4py.shipping import codec_with

GROUP = "workers"
FIELD = b"d"
DRAINED_FIELD = b"drained"
#: Field of the hash of counts that is there as long as nobody has deleted that hash.
INTACT = "intact"

CODEC = codec_with(partial(dill.Pickler, recurse=True))


@dataclass(frozen=True)
class RunKeys:
    """The names of one run's keys.

    Attributes:
        prefix: what they all begin with.
        pins: (PE number, instance) of all pinned instances.
        workers: number of workers.
    """

    prefix: str
    pins: tuple[tuple[int, int], ...]
    workers: int

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

    def inbox(self, rank: int) -> str:
        return self.named(f"inbox:{rank}")

    def stream_of(self, task: Task) -> str:
        return self.shared if task.instance == ANY else self.pin(task.pe, task.instance)

    def streams(self) -> list[str]:
        """All streams that tasks lie in."""
        return [
            self.shared,
            *(self.pin(pe, instance) for pe, instance in self.pins),
            *(self.inbox(rank) for rank in range(self.workers)),
        ]

    def all(self) -> list[str]:
        """All keys that the run may have."""
        others = ("unfinished", "watched", "hungry", "replicas", "calls", "busy")
        return [*self.streams(), self.out, *map(self.named, others)]


def _items_of(value: Any) -> Iterable[Any]:
    if isinstance(value, Task) and isinstance(value.load, list):
        return value.load
    if isinstance(value, Results):
        return chain.from_iterable(items for _, _, items in value.results)
    return ()


class Envelope:
    """Objects as entries of streams, guarded by the run's secret."""

    def __init__(self, secret: bytes) -> None:
        self._seal = Seal(secret)

    def wrap(self, value: Any, stream: str) -> bytes:
        """What to put into field `FIELD` of an entry of that stream.

        Raises:
            ItemError: the object cannot be pickled.
        """
        try:
            data = CODEC.dumps(value)
        except ItemError:
            for item in _items_of(value):
                CODEC.dumps(item)  # raises for the one that is to blame
            raise
        return self._seal.close(data, stream.encode())

    def unwrap(self, fields: Mapping[bytes, bytes], stream: str) -> Any:
        """The object in an entry.

        Raises:
            ForeignBytesError: it was not made by this run.
        """
        if FIELD not in fields:
            raise ForeignBytesError(f"an entry without field 'd' at {stream}")
        return CODEC.loads(self._seal.open(fields[FIELD], stream.encode()))
