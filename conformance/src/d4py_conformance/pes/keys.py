"""Group keys for the tests of groupings: equal ones that look different, and ones to refuse.

They live in a module of their own because worker processes have to be able to import them.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Any

_EAST = datetime.timezone(datetime.timedelta(hours=9))


class Code(str):
    """Compares as a str does."""


@dataclass(frozen=True)
class Channel:
    """Compares by its fields."""

    code: str
    rate: float


class AnyCase(str):
    """Compares by a rule of its own: whatever the case; it equals plain strings, too."""

    def __eq__(self, other: object) -> bool:
        return self.lower() == str(other).lower()

    def __hash__(self) -> int:
        return hash(self.lower())


@dataclass(frozen=True)
class Station:
    """Compares by a rule of its own, though it is a dataclass."""

    code: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Station) and self.code.lower() == other.code.lower()

    def __hash__(self) -> int:
        return hash(self.code.lower())


#: Pairs of equal keys.
EQUAL: list[tuple[Any, Any]] = [
    (Counter(a=1, b=0), Counter(a=1)),
    (Counter(a=2, b=0), {"a": 2, "b": 0}),
    (OrderedDict(a=3, b=4), {"b": 4, "a": 3}),
    (range(0), range(7, 7)),
    (range(0, 10, 3), range(0, 12, 3)),
    (ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address(0x0A000001)),
    (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("10.0.0.0/255.0.0.0")),
    (
        datetime.datetime.min.replace(tzinfo=_EAST),
        datetime.datetime(1, 1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=10))),
    ),
    (Code("EHZ"), "EHZ"),
    (Channel("EHZ", 100), Channel("EHZ", 100.0)),
]

#: A key that is met first, and one to refuse that may be equal to it.
OWN: list[tuple[Any, Any]] = [
    ("a", AnyCase("A")),
    ((1, "a"), (1, AnyCase("A"))),
    ("b", Station("B")),
]
