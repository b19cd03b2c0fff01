"""What the programs of a row have in common: items, sizes, and what is done with the items."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: Processes that count words, and hops that an array goes.
COUNTERS, HOPS = 3, 3
#: Items of a batch, where batches are made by hand.
BATCH = 1000
#: Seconds before each lone item, in which all processes become idle.
PAUSE = 0.05
#: Numbers in an array of 1 MiB.
ARRAY = 1 << 17

WORDS = [(f"word{number * 7919 % 1009}", 1) for number in range(1009)]


def words(count: int) -> Iterable[tuple[str, int]]:
    """Return words, each with a 1."""
    return (WORDS[number % len(WORDS)] for number in range(count))


def add(counts: dict[str, int], pairs: Iterable[tuple[str, int]]) -> None:
    """Count words."""
    for word, one in pairs:
        counts[word] = counts.get(word, 0) + one


def by_counter(pairs: Iterable[tuple[str, int]]) -> list[list[tuple[str, int]]]:
    """Return the words that go to each of the counters."""
    parts: list[list[tuple[str, int]]] = [[] for _ in range(COUNTERS)]
    for pair in pairs:
        parts[hash(pair[0]) % COUNTERS].append(pair)
    return parts


def nested(number: int) -> dict[str, Any]:
    """Return an item with lists and dicts inside."""
    return {
        "id": number,
        "samples": [
            {"at": float(i), "values": [i * 0.5, i * 0.25, float(number)]} for i in range(8)
        ],
        "meta": {"station": "ABC", "tags": ["raw", "checked"], "position": (47.5, 8.25)},
    }
