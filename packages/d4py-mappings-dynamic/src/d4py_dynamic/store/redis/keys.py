"""Names of a run's keys in Redis, and of the fields of its entries.

All keys of a run share one prefix, so that several runs can use one server.  The run's id stands in
braces in it: the hash tag by which a Redis Cluster keeps all these keys on one node.
"""

from __future__ import annotations

from typing import NamedTuple

from d4py_dynamic.store.tasks import ANY, Delivery, InstanceId, Lease, Task

#: The set of all runs on a server.
RUNS = "d4py:runs"
GROUP = "workers"
#: Fields of entries: content, delivery count and position of a lease.
FIELD, DELIVERY_COUNT, POSITION = b"d", b"n", b"r"
QUIESCENT_FIELD = b"quiescent"
#: Field of the hashes of counts and of answers; where it lacks, the hash was deleted.
INTACT = "intact"
#: Field of the hash of counts: number of workers that have joined so far.
JOINED = "joined"


class RunKeys(NamedTuple):
    """The names of one run's keys.

    Attributes:
        run_id: the run's name on the server.
        pins: (PE number, instance) of all pinned instances.
    """

    run_id: str
    pins: tuple[InstanceId, ...]

    @property
    def prefix(self) -> str:
        """Return the prefix of all keys."""
        return f"d4py:{{{self.run_id}}}"

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

    def room(self, root: int | str) -> str:
        return self.named(f"room:{root}")

    def stream_of(self, task: Task) -> str:
        return self.shared if task.instance == ANY else self.pin(task.pe, task.instance)

    def streams(self, joined: int) -> list[str]:
        """Return all streams with tasks.

        Args:
            joined: number of workers that have joined so far.
        """
        return [
            self.shared,
            *(self.pin(pe, instance) for pe, instance in self.pins),
            *(self.inbox(rank) for rank in range(joined)),
        ]

    def all(self, joined: int) -> list[str]:
        """Return all keys that the run may have; see `streams`."""
        return [*self.streams(joined), self.out, *map(self.named, _OTHERS)]


#: Keys that are no streams.
_OTHERS = (
    *("unfinished", "watched", "idle", "paused", "replicas", "calls", "busy", "costs", "feeding"),
    *(
        "members",
        "connections",
        "states",
        "positions",
        "delivery_counts",
        "attempts",
        "lease_positions",
        "orphans",
        "info",
        "spec",
    ),
    *("answers", "finishing", "offsets", "archive", "resumption", "began", "events"),
)


def consumer(rank: int) -> str:
    """Return the name of a worker in the group that reads tasks."""
    return f"worker-{rank}"


def pin_name(pin: InstanceId) -> str:
    """Return the name of a pinned instance in the hashes of states and positions."""
    return f"{pin[0]}/{pin[1]}"


def delivery_name(delivery: Delivery) -> str:
    """Return the name of a delivery in the hashes of delivery counts and attempts."""
    if not isinstance(delivery, Lease):
        return pin_name(delivery)
    entry_id = delivery.token[1]
    return str(entry_id, "ascii")
