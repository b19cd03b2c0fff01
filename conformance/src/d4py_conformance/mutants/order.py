"""Mutants that break rule M6: the order of an ordered input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from d4py_conformance.mutants.sound import Sound
from dispel4py.engine.items.places import EmptyPlace
from dispel4py.engine.planning.plan import Plan


class IgnoresOrder(Sound):
    """Lets items arrive as they come: what one of several instances got is done at the end."""

    def planned(self, plan: Plan) -> Plan:
        self.later: list[tuple[int, int, str, list[Any]]] = []
        plan = super().planned(plan)
        pes = [
            replace(
                pe,
                ordered=(),
                has_places=False,
                routes={
                    name: tuple(route._replace(path=-1, ordered=False) for route in routes)
                    for name, routes in pe.routes.items()
                },
            )
            for pe in plan.pes
        ]
        return replace(plan, pes=tuple(pes))

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        if self.plan.pes[pe].instances > 1 and instance == 0:
            self.later.append((pe, instance, input_name, items))
        else:
            super().send(pe, instance, input_name, items)

    def finish(self, pe: int, instance: int) -> None:
        later = [sent for sent in self.later if sent[0] == pe]
        self.later = [sent for sent in self.later if sent[0] != pe]
        for sent in later:
            self.executor.push(*sent)
            self.executor.drain()
        super().finish(pe, instance)


class DropsVoids(Sound):
    """Carries items in their order, and not the marks of those that were dropped."""

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        super().send(
            pe, instance, input_name, [item for item in items if type(item) is not EmptyPlace]
        )
