"""Names of a run's keys in Redis, and the form in which tasks and results lie there.

All keys of a run share one prefix, so that runs side by side on one server do not meet.  What the
workers' code makes of bytes is encrypted: a stranger can neither read it nor put anything there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from d4py_dynamic.store.serialization import CODEC, dumps
from d4py_dynamic.store.tasks import ANY, Delivery, Lease, Pin, Task
from dispel4py.engine.codec import ForeignBytesError

#: As long as AES-GCM wants it.
_NONCE_BYTES = 12

#: The set of all runs on a server.
RUNS = "d4py:runs"
GROUP = "workers"
#: Fields of entries: what is in it, delivery_count and position of a lease.
FIELD, DELIVERY_COUNT, POSITION = b"d", b"n", b"r"
QUIESCENT_FIELD = b"quiescent"
#: Field of the hashes of counts and of answers, there as long as nobody has deleted the hash.
INTACT = "intact"
#: Field of the same hash: how many workers have joined so far.
JOINED = "joined"
#: What sealing adds to bytes: the nonce and the cipher's tag.
_SEAL_BYTES = _NONCE_BYTES + 16


@dataclass(frozen=True)
class RunKeys:
    """The names of one run's keys.

    Attributes:
        run_id: the run's name on the server.
        pins: (PE number, instance) of all pinned instances.
    """

    run_id: str
    pins: tuple[Pin, ...]

    @property
    def prefix(self) -> str:
        """What they all begin with."""
        return f"d4py:{self.run_id}"

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
    *("unfinished", "watched", "idle", "paused", "replicas", "calls", "busy"),
    *(
        "members",
        "states",
        "positions",
        "delivery_counts",
        "attempts",
        "begun",
        "orphans",
        "info",
        "spec",
    ),
    *("answers", "finishing", "offsets", "kept", "resumption"),
)


def consumer(rank: int) -> str:
    """Name of a worker in the group of those who read tasks."""
    return f"worker-{rank}"


def pin_name(pin: Pin) -> str:
    """Name of a pinned instance in the hashes of states and positions."""
    return f"{pin[0]}/{pin[1]}"


def room_for(largest: int | None) -> int | None:
    """Return how large what is sealed may be where a value may have so many bytes."""
    return None if largest is None else largest - _SEAL_BYTES


def delivery_name(delivery: Delivery) -> str:
    """Name of what may be to blame in the hashes of delivery_count and attempts."""
    if not isinstance(delivery, Lease):
        return pin_name(delivery)
    entry_id = delivery.token[1]
    return str(entry_id, "ascii")


class Envelope:
    """Objects as they lie on the server: encrypted, and nobody else can have made them.

    AES-GCM (NIST SP 800-38D) with a key of the run's own and a random nonce for each object.

    Args:
        secret: 32 bytes that only this run's processes know.
    """

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(secret)

    def wrap(self, value: Any, place: str) -> bytes:
        """An object, pickled and sealed for a place, such as field `FIELD` of a stream's entry.

        Raises:
            ItemError: the object cannot be pickled.
        """
        return self.seal(dumps(value), place)

    def seal(self, data: bytes, place: str) -> bytes:
        """Bytes, sealed for a place."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, place.encode())

    def unseal(self, sealed: bytes, place: str) -> bytes:
        """The bytes.

        Raises:
            ForeignBytesError: they were not sealed by this run, for this place.
        """
        nonce, data = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, data, place.encode())
        except (InvalidTag, ValueError):
            raise ForeignBytesError(f"{len(sealed)} foreign bytes at {place}") from None

    def open(self, sealed: bytes, place: str) -> Any:
        """The object; raises as `unseal` does."""
        return CODEC.loads(self.unseal(sealed, place))

    def unwrap(self, fields: Mapping[bytes, bytes], stream: str) -> Any:
        """The object in an entry of a stream; raises as `unseal` does."""
        if FIELD not in fields:
            raise ForeignBytesError(f"an entry without field 'd' at {stream}")
        return self.open(fields[FIELD], stream)
