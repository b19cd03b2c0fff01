"""Copies of the PEs of a plan, one per instance."""

from __future__ import annotations

import copy
from types import ModuleType
from typing import Any

from dispel4py.core import GenericPE
from dispel4py.engine.items.copying import cannot_carry
from dispel4py.engine.planning.plan import Plan, PlannedPE
from dispel4py.errors import GraphError
from dispel4py.exceptions.unwinding import reraise_foreign
from dispel4py.object_types import is_of_type


def copy_pe(planned: PlannedPE) -> GenericPE:
    """Return the PE of a new instance.

    Raises:
        GraphError: the PE cannot be copied.
    """
    if planned.factory is not None:
        return planned.factory()
    try:
        return copy.deepcopy(planned.pe, modules_of(planned.pe))
    except BaseException as error:  # a user's __deepcopy__ or __reduce__ may raise anything
        reraise_foreign(error)
        raise GraphError([f"{planned.id}: {cannot_carry(planned.pe, error)}"]) from error


def check_copies(plan: Plan) -> None:
    """Check that all PEs can be copied, for a mapping that copies them in its process.

    Raises:
        GraphError: a PE cannot be copied.
    """
    for planned in plan.pes:
        copy_pe(planned)


def modules_of(pe: GenericPE) -> dict[int, Any]:
    """Return a memo for `copy.deepcopy` of a PE that keeps modules, which cannot be copied."""
    return {id(v): v for v in vars(pe).values() if is_of_type(v, ModuleType)}
