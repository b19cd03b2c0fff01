"""A mutant that breaks rule D1: it starts what it does not declare."""

from __future__ import annotations

from d4py_conformance.mutants.sound import DeclaresNothing
from dispel4py.engine.planning.plan import Plan


class RefusesNothing(DeclaresNothing):
    """Starts a graph that it does not declare to be able to run."""

    def planned(self, plan: Plan) -> Plan:
        return plan
