"""The description of a run for its first event: graph, inputs and environment."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from types import FunctionType

from dispel4py.engine.inputs import RootInput
from dispel4py.engine.planning.plan import Plan, PlannedPE
from dispel4py.events import EdgeDescription, PEDescription, RunStarted
from dispel4py.host import host_name
from dispel4py.object_types import is_of_type
from dispel4py.observing.passwords import without_passwords
from dispel4py.result import RunStats

#: Folder of an installed distribution of d4py: its name and its version.
_INSTALLED = re.compile(r"(d4py_\w+)-(.+)\.dist-info")


def describe_run(
    plan: Plan, inputs: Mapping[int, RootInput], stats: RunStats, began_at: float, seconds: float
) -> RunStarted:
    """Return the first event of a run.

    Args:
        plan: the plan.
        inputs: the inputs of its roots.
        stats: statistics, with the mapping and the number of processes.
        began_at: when the run has begun, in seconds since the epoch.
        seconds: how long ago that is.
    """
    return RunStarted(
        time=seconds,
        time_utc=time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(began_at)),
        mapping=stats.mapping,
        processes=stats.processes,
        pes=tuple(_describe(pe) for pe in plan.pes),
        edges=tuple(
            EdgeDescription(
                pe.id,
                route.output,
                plan.pes[route.destination].id,
                route.input,
                str(route.grouping).strip("'"),
            )
            for pe in plan.pes
            for routes in pe.routes.values()
            for route in routes
        ),
        inputs={plan.pes[root].id: _count(value) for root, value in inputs.items()},
        seed=plan.seed,
        versions={"python": sys.version.partition(" ")[0], **_versions()},
        host=host_name(),
        pid=os.getpid(),
        command=tuple(map(without_passwords, sys.orig_argv)),
    )


def _describe(planned: PlannedPE) -> PEDescription:
    pe = planned.pe
    kind = type(pe)
    file, line = source_of(kind)
    return PEDescription(
        planned.id,
        planned.id.removesuffix(str(planned.index)),
        f"{kind.__module__}.{kind.__qualname__}",
        0 if planned.replicated else planned.instances,
        planned.is_root,
        file,
        line,
    )


def source_of(kind: type) -> tuple[str | None, int | None]:
    """Return file and line of a class, without reading the file, which would take milliseconds."""
    code = [entry.__code__ for entry in vars(kind).values() if is_of_type(entry, FunctionType)]
    first = min((one.co_firstlineno for one in code), default=None)
    return code[0].co_filename if code else None, getattr(kind, "__firstlineno__", first)


def _count(value: RootInput) -> int | None:
    if isinstance(value, int):
        return value
    return len(value) if isinstance(value, list | tuple) else None


@cache
def _versions() -> dict[str, str]:
    """Return the versions of d4py's distributions, by the names of their folders.

    `importlib.metadata` takes ten times as long to import as this takes.
    """
    found: dict[str, str] = {}
    for folder in sys.path:
        with suppress(OSError):
            for name in os.listdir(folder or "."):
                if match := _INSTALLED.fullmatch(name):
                    found.setdefault(match[1].replace("_", "-"), match[2])
    return found
