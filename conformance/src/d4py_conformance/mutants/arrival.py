"""Mutants that change PEs on their way to where they run."""

from __future__ import annotations

import pickle
from copy import copy, deepcopy
from dataclasses import replace
from io import TextIOWrapper

from d4py_conformance.mutants.sound import Sound
from dispel4py.engine.planning.plan import Plan


class LosesIdentity(Sound):
    """Carries PEs by a plain pickle, from which no string comes back as the one that it was."""

    def planned(self, plan: Plan) -> Plan:
        plan = super().planned(plan)
        pes = [replace(pe, pe=pickle.loads(pickle.dumps(pe.pe)), factory=None) for pe in plan.pes]
        return replace(plan, pes=tuple(pes))


class CopiesThePlan(Sound):
    """Has a copy of all PEs for each instance, and keeps them."""

    def planned(self, plan: Plan) -> Plan:
        plan = super().planned(plan)
        self.copies = [deepcopy(plan) for _ in plan.pes]
        return plan


class OpensFilesAgain(Sound):
    """Takes a file for its name and its mode."""

    def planned(self, plan: Plan) -> Plan:
        plan = super().planned(plan)
        pes = []
        for planned in plan.pes:
            pe = copy(planned.pe)
            for name, value in vars(pe).items():
                if isinstance(value, TextIOWrapper):
                    with open(value.name, value.mode) as again:
                        setattr(pe, name, again.name)
            pes.append(replace(planned, pe=pe))
        return replace(plan, pes=tuple(pes))
