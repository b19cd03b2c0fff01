"""Compares what a run gave with what was expected, as multisets, and describes the difference.

Items may be anything: what cannot be hashed is turned into something that can.  Types count, so
that a mapping that turns a tuple into a list, or 1 into 1.0, is found out.

    >>> differences({"A0": {"output": [[1], [2]]}}, {"A0": {"output": [[2], [2]]}})
    ['A0.output: 1 missing: [1]', 'A0.output: 1 too many: [2]']
"""

from __future__ import annotations

import dataclasses
import pickle
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from dispel4py.errors import shorten

#: PE id → output → items.
Outputs = Mapping[str, Mapping[str, Iterable[Any]]]

#: How many different items a line of a difference names.
SHOWN = 8


def assert_outputs(actual: Outputs, expected: Outputs) -> None:
    """Fail with all differences unless both hold the same items, in whatever order."""
    lines = differences(expected, actual)
    assert not lines, "the results are not what they should be\n" + "\n".join(lines)


def differences(expected: Outputs, actual: Outputs) -> list[str]:
    """One line for each output that lacks items, and one for each that has too many."""
    lines: list[str] = []
    wanted, got = _flat(expected), _flat(actual)
    for place in dict.fromkeys([*wanted, *got]):
        want, have = _count(wanted.get(place, [])), _count(got.get(place, []))
        for word, rest in (
            ("missing", _minus(want, have)),
            ("too many", _minus(have, want)),
        ):
            if rest:
                lines.append(f"{'.'.join(place)}: {_describe(rest, word)}")
    return lines


def frozen(item: Any) -> Any:
    """Something hashable that is equal for items of the same type and value."""
    kind = type(item).__name__
    if isinstance(item, list | tuple):
        return kind, tuple(map(frozen, item))
    if isinstance(item, set | frozenset):
        return kind, frozenset(map(frozen, item))
    if isinstance(item, dict):
        return kind, frozenset((frozen(key), frozen(value)) for key, value in item.items())
    if isinstance(item, float):
        return kind, repr(item)  # so that nan equals nan
    if hasattr(item, "tobytes") and hasattr(item, "shape"):  # a NumPy array, without NumPy
        return kind, str(item.dtype), item.shape, _array_content(item)
    if dataclasses.is_dataclass(item):
        names = [field.name for field in dataclasses.fields(item)]
        return kind, tuple(frozen(getattr(item, name)) for name in names)
    return kind, _hashable(item)


def _array_content(array: Any) -> Any:
    return frozen(array.tolist()) if array.dtype.hasobject else array.tobytes()


def _hashable(item: Any) -> Any:
    try:
        hash(item)
    except TypeError:
        return pickle.dumps(item)
    return item


def _flat(outputs: Outputs) -> dict[tuple[str, str], list[Any]]:
    return {
        (pe_id, name): list(items)
        for pe_id, by_name in outputs.items()
        for name, items in by_name.items()
    }


def _count(items: list[Any]) -> tuple[Counter[Any], dict[Any, Any]]:
    keys = [frozen(item) for item in items]
    return Counter(keys), dict(zip(keys, items, strict=True))


def _minus(
    these: tuple[Counter[Any], dict[Any, Any]], those: tuple[Counter[Any], dict[Any, Any]]
) -> list[tuple[Any, int]]:
    """Return items of the first that the second lacks, with how many of each."""
    counts, items = these
    return [(items[key], count) for key, count in (counts - those[0]).items()]


def _describe(rest: list[tuple[Any, int]], word: str) -> str:
    total = sum(count for _, count in rest)
    parts = [
        shorten(item, 80) + (f" ({count} times)" if count > 1 else "")
        for item, count in rest[:SHOWN]
    ]
    if len(rest) > SHOWN:
        parts.append(f"and {len(rest) - SHOWN} more kinds")
    return f"{total} {word}: {', '.join(parts)}"
