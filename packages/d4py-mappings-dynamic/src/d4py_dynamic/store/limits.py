"""Limits of task stores."""

from __future__ import annotations

from typing import NamedTuple

#: Default of `TaskStore.take`: how long to wait for a task, in seconds.
TAKE_SECONDS = 0.5
#: Longest time that a worker waits for a task, in seconds.
LONGEST_TAKE_SECONDS = 10.0


class PublishLimits(NamedTuple):
    """How the events of a run are kept on a Redis server for its watchers.

    Attributes:
        seconds: time between two entries; each has all events since the last one.
        kept_bytes: size in bytes of the entries that are kept; beyond it the oldest are deleted.
        end_seconds: how long a run that is over waits until all pages have its last events.
        poll_seconds: time between two looks at how far they were read.
    """

    seconds: float = 0.5
    kept_bytes: int = 16 << 20
    end_seconds: float = 0.5
    poll_seconds: float = 0.01


class StoreLimits(NamedTuple):
    """When queues are full, and how much is read at once.

    Attributes:
        queue_length: unfinished tasks of a pinned instance beyond which its senders pause.
        result_batches: batches of results beyond which workers pause until the driver has taken
            some.
        queue_bytes: size in bytes beyond which such a queue is full although it is shorter.
        turns: a worker whose instances have tasks takes a shared task in one of so many turns, so
            that shared tasks are processed too.
        read_count: entries to read at once from the streams of pinned instances (Redis).
        read_bytes: approximate size in bytes of what is read at once (Redis).
        reread_seconds: seconds after a connection has broken in which entries that were lost with
            it are looked for at each read; longer than any wait on the server (Redis).
        reread_pause: longest wait of a read in that time, in seconds (Redis).
        shortest_block: shortest wait in seconds that the server is asked for; it may end as much as
            0.1 s late (Redis).
    """

    queue_length: int = 128
    result_batches: int = 64
    queue_bytes: int = 32 << 20
    turns: int = 8
    read_count: int = 16
    read_bytes: int = 4 << 20
    reread_seconds: float = 2 * LONGEST_TAKE_SECONDS
    reread_pause: float = 1.0
    shortest_block: float = 0.01
