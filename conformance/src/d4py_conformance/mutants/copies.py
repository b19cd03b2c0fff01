"""Mutants that share items between PEs, or copy items and PEs in another way than the rules say."""

from __future__ import annotations

import json
import pickle
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

from d4py_conformance.mutants.sound import Sound
from dispel4py.engine.items.copying import Copier, copy_item, share_item
from dispel4py.engine.planning.plan import Plan


class SharesItems(Sound):
    """Hands one object to several PEs."""

    def isolate(self) -> Copier:
        return share_item


class SharesBuffers(Sound):
    """Does not copy an array over a buffer, though other references to the buffer exist."""

    def isolate(self) -> Copier:
        return lambda item: item if getattr(item, "base", None) is not None else copy_item(item)


class SharesFunctions(Sound):
    """Copies items by `copy.deepcopy`, which hands functions on as they are."""

    def isolate(self) -> Copier:
        return deepcopy


class KeepsReadOnly(Sound):
    """Copies items by pickle, which keeps a read-only array read-only."""

    def isolate(self) -> Copier:
        return lambda item: pickle.loads(pickle.dumps(item, protocol=5))


class JsonOnly(Sound):
    """Carries items as JSON, which has no tuples, no sets and no bytes."""

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        super().send(pe, instance, input_name, json.loads(json.dumps(items, default=str)))


class DeepCopiesPEs(Sound):
    """Makes instances by `copy.deepcopy`."""

    def planned(self, plan: Plan) -> Plan:
        pes = (replace(planned, factory=partial(deepcopy, planned.pe)) for planned in plan.pes)
        return replace(plan, pes=tuple(pes))
