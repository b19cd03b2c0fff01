"""A plan on its way to worker processes: as bytes, with what is needed to open them there."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass

from dispel4py.codec import Codec
from dispel4py.errors import GraphError, ItemError, RunError
from dispel4py.loading import loaded_sources, restore_module
from dispel4py.plan import Plan


@dataclass(frozen=True)
class Parcel:
    """A packed plan; picklable in any way of starting processes.

    Attributes:
        data: the plan.
        modules: name, source and file name of modules that were loaded from files.
        argv: ``sys.argv`` as those modules saw it.
    """

    data: bytes
    modules: tuple[tuple[str, str, str], ...]
    argv: tuple[str, ...]

    def open(self, codec: Codec) -> Plan:
        """The plan, in a worker process.

        Raises:
            RunError: a module raises here, or lacks something that the plan needs.
        """
        sys.argv = list(self.argv)
        try:
            for module in self.modules:
                restore_module(*module)
            plan: Plan = codec.loads(self.data)
        except (Exception, SystemExit) as error:  # a user's module may raise anything
            reason = traceback.format_exception_only(error)[-1].strip()
            raise RunError(
                f"a worker process cannot make the workflow again: {reason}; what is defined at a"
                " prompt or in a notebook has to be put into a file, or else workers be forked"
            ) from error
        return plan


def pack(plan: Plan, codec: Codec) -> Parcel:
    """Pack a plan.

    Raises:
        GraphError: PEs that cannot be pickled; each is named with the attribute to blame.
    """
    modules, argv = tuple(loaded_sources()), tuple(sys.argv)
    try:
        return Parcel(codec.dumps(plan), modules, argv)
    except ItemError as error:
        problems = list(_problems(plan, codec))
        raise GraphError(problems or [str(error)]) from error


def _problems(plan: Plan, codec: Codec) -> list[str]:
    problems: list[str] = []
    for planned in plan.pes:
        try:
            codec.dumps(planned.pe)
        except ItemError as error:
            problems.append(f"{planned.id}: {error}")
    return problems
