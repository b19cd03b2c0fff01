"""Reading streams: replies of either protocol version, and how many entries to read at once."""

from __future__ import annotations

from typing import Any

#: With each entry, one part in so many of the size of a larger one is forgotten.
_FORGOTTEN = 8


def entries_by_stream(reply: Any) -> list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """Return a reply of XREADGROUP or XREAD as (stream, entries)."""
    if isinstance(reply, dict):  # protocol 3: stream -> [entries]
        return [(name, entries[0]) for name, entries in reply.items() if entries]
    return [(name, entries) for name, entries in reply or ()]


def fields_of(flat: list[bytes]) -> dict[bytes, bytes]:
    """Return the fields of an entry that a script has returned."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def at_most(count: int, size: int, max_bytes: int) -> int:
    """Return how many entries of a size there may be at once: `count`, or fewer large ones."""
    return max(1, min(count, max_bytes // max(1, size)))


def expected_size(before: int, size: int) -> int:
    """Return the size to expect of entries: that of the largest recent one."""
    return max(size, before - before // _FORGOTTEN)
