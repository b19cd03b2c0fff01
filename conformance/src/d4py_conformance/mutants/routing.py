"""Mutants that lose items, repeat them, or send them to the wrong instance."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

from d4py_conformance.mutants.sound import Sound
from dispel4py.engine.planning.grouping import GROUP_BY, SHUFFLE, Grouping, group_key, grouping_of
from dispel4py.engine.planning.plan import Plan

#: Which of the items that are sent is dropped or sent twice.
ODD_ITEM = 50


class DropsAnItem(Sound):
    """Loses one item in a run."""

    sent = 0

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        place = ODD_ITEM - self.sent
        self.sent += len(items)
        if 0 <= place < len(items):
            items = self.instead(items, place)
        super().send(pe, instance, input_name, items)

    def instead(self, items: list[Any], place: int) -> list[Any]:
        """Return what is sent instead of these items."""
        return items[:place] + items[place + 1 :]


class DuplicatesAnItem(DropsAnItem):
    """Sends one item twice in a run."""

    def instead(self, items: list[Any], place: int) -> list[Any]:
        return [*items, items[place]]


class LastEdgeOnly(Sound):
    """Sends what goes along several edges along the last one alone."""

    def planned(self, plan: Plan) -> Plan:
        plan = super().planned(plan)
        pes = [
            replace(pe, routes={name: routes[-1:] for name, routes in pe.routes.items()})
            for pe in plan.pes
        ]
        return replace(plan, pes=tuple(pes))


class IgnoresGroupings(Sound):
    """Deals items out as if no input were grouped."""

    def planned(self, plan: Plan) -> Plan:
        plan = super().planned(plan)
        shuffle = Grouping(SHUFFLE)
        pes = [
            replace(
                pe,
                routes={
                    name: tuple(route._replace(grouping=shuffle) for route in routes)
                    for name, routes in pe.routes.items()
                },
            )
            for pe in plan.pes
        ]
        return replace(plan, pes=tuple(pes))


class UnstableHash(Sound):
    """Chooses by `hash`, which differs between processes."""

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        planned = self.plan.pes[pe]
        grouping = grouping_of(planned.pe, input_name)
        if grouping.kind != GROUP_BY:
            super().send(pe, instance, input_name, items)
            return
        for item in items:
            chosen = self.hash_of(group_key(item, grouping.keys)) % planned.instances
            super().send(pe, chosen, input_name, [item])

    def hash_of(self, key: Any) -> int:
        """Return what an instance is chosen by."""
        return hash(key)


class TakesKeysForPlain(IgnoresGroupings, UnstableHash):
    """Chooses by what a key looks like, by whatever rule it compares."""

    def hash_of(self, key: Any) -> int:
        return zlib.crc32(repr(key).encode())


class ReversesItems(Sound):
    """Hands each batch on in the wrong order."""

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        super().send(pe, instance, input_name, items[::-1])
