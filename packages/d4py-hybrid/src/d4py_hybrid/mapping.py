"""The mapping `hybrid_redis`: stateless PEs shared by all workers, stateful ones pinned.

Each stateful instance has its own stream in Redis and one owner at a time; all other tasks go to
any idle worker.  The implementation is that of `d4py_dynamic`; this mapping declares that it takes
stateful PEs, and adds the options for their checkpoints.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from d4py_dynamic.mappings.redis import RedisMapping
from d4py_dynamic.worker.pinned_instance import COMMIT_INTERVAL
from d4py_dynamic.worker.spec import WorkerSpec
from dispel4py.engine.planning.capabilities import Capabilities
from dispel4py.engine.planning.plan import Plan
from dispel4py.errors import OptionError
from dispel4py.processes.workers.start_methods import Start
from dispel4py.result import RunOptions


class HybridRedisMapping(RedisMapping):
    """Runs any graph over Redis; its other name is `redis`."""

    name = "hybrid_redis"
    example = "dispel4py hybrid_redis split_merge.py -i 100 -n 10"
    capabilities = Capabilities(
        stateful=True,
        group_by=True,
        broadcast=True,
        ordered=True,
        survives_worker_death=True,
        multi_host=True,
        shares_calls=True,
    )

    def worker_spec(self, plan: Plan, start: Start, options: RunOptions) -> WorkerSpec:
        """See `d4py_dynamic.mappings.base.DynamicMapping`."""
        spec = super().worker_spec(plan, start, options)
        return spec._replace(interval=_checkpoint_interval(options.extra))

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Mapping`."""
        super().add_arguments(parser)
        group = parser.add_argument_group("checkpoints of stateful PEs")
        group.add_argument(
            "--commit-interval",
            type=float,
            metavar="SECONDS",
            help="longest time between two checkpoints, which is how long a result may wait"
            f" (default: {COMMIT_INTERVAL:g})",
        )
        group.add_argument(
            "--no-checkpoint",
            action="store_true",
            help="take none: faster, but the run fails if the worker of a stateful PE dies",
        )


def _checkpoint_interval(extra: Mapping[str, Any]) -> float | None:
    """Return the longest time between two checkpoints in seconds; None if there are none."""
    if extra.get("no_checkpoint"):
        return None
    interval = extra.get("commit_interval")
    if interval is None:
        return COMMIT_INTERVAL
    if not interval > 0:
        raise OptionError(f"the commit interval is {interval!r} seconds; it must be more than 0")
    return float(interval)
