"""PEs that compare items with those that came before: joins, repetitions, the largest."""

from collections import defaultdict
from collections.abc import Sequence
from heapq import nlargest
from operator import itemgetter
from typing import Any

from dispel4py import GenericPE, IterativePE

Item = dict[str, Any]


class JoinByKey(GenericPE):
    """Sends a pair for each two items of ``left`` and ``right`` that have the same key.

    A pair is sent when the second of its items arrives (symmetric hash join: Wilschut and Apers,
    *Dataflow query execution in a parallel main-memory environment*, 1991).  All items are kept
    until the end of the run.

    Args:
        left: field with the key of an item of ``left``.
        right: field with the key of an item of ``right``; that of ``left`` by default.
    """

    def __init__(self, left: str, right: str | None = None) -> None:
        super().__init__()
        self.keys = {"left": left, "right": right or left}
        for name, key in self.keys.items():
            self.add_input(name, grouping=[key])
        self.add_output("output")
        self.seen: dict[str, dict[Any, list[Item]]] = {
            name: defaultdict(list) for name in self.keys
        }

    def process(self, inputs: dict[str, Any]) -> None:
        [(name, item)] = inputs.items()
        key = item[self.keys[name]]
        self.seen[name][key].append(item)
        other = "right" if name == "left" else "left"
        for match in self.seen[other].get(key, ()):
            self.write("output", (item, match) if name == "left" else (match, item))


class Deduplicate(IterativePE):
    """Sends the first item of each key, and drops those after it.

    Args:
        key: field by which items are compared.
        remember: how many keys an instance keeps; the oldest ones are dropped, so that memory is
            bounded, and an item with such a key is sent again.
    """

    def __init__(self, key: str, remember: int = 1_000_000) -> None:
        super().__init__()
        self.add_input("input", grouping=[key])
        self.key = key
        self.remember = remember
        self.seen: dict[Any, None] = {}  # a set that keeps the order

    def _process(self, item: Item) -> Item | None:
        key = item[self.key]
        if key in self.seen:
            return None
        self.seen[key] = None
        if len(self.seen) > self.remember:
            del self.seen[next(iter(self.seen))]
        return item


class TopK(IterativePE):
    """Sends the list of the largest items of the whole run, at its end.

    Args:
        k: how many items. by: fields by which items are compared, the second where the first is
        equal, and so on.  Where
            all are equal, those that came first win, so name enough fields for one order only.
    """

    def __init__(self, k: int, by: Sequence[str]) -> None:
        super().__init__()
        self.add_input("input", grouping="global")
        self.k = k
        self.by = itemgetter(*by)
        self.best: list[Item] = []

    def _process(self, item: Item) -> None:
        self.best = nlargest(self.k, [*self.best, item], key=self.by)

    def postprocess(self) -> None:
        if self.best:  # only instance 0 of a global grouping gets items
            self.write("output", self.best)
