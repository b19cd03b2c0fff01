"""The same stages by hand: `map` over the methods, or generators, one on the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import perf_counter

from report import arguments, report

STAGES = 5


class Numbers:
    """Gives a number per call."""

    number = 0

    def _process(self, inputs: object) -> int:
        self.number += 1
        return self.number


class Relay:
    """Gives what it gets."""

    def _process(self, data: int) -> int:
        return data


def maps(count: int) -> list[int]:
    """Use `map` on the methods that a PE would have."""
    items: Iterable[int] = map(Numbers()._process, [{}] * count)
    for _ in range(STAGES):
        items = map(Relay()._process, items)
    return [*items]


def generators(count: int) -> list[int]:
    """Use a generator per stage."""

    def same(items: Iterable[int]) -> Iterator[int]:
        for item in items:  # noqa: UP028 - `yield from` would do without the stage
            yield item

    items: Iterable[int] = range(1, count + 1)
    for _ in range(STAGES):
        items = same(items)
    return [*items]


def main() -> None:
    """Run it."""
    way, count = arguments()
    started_at = perf_counter()
    items = {"map": maps, "generators": generators}[way](count)
    report(perf_counter() - started_at, sum(items))


if __name__ == "__main__":
    main()
