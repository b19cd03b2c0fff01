"""The mapping `hybrid_redis`: stateless PEs shared by all workers, stateful ones pinned.

Each stateful instance has a stream of its own in Redis and one owner at a time; everything else is
done by whichever worker is free.  The machinery is that of `d4py_dynamic`; this mapping declares
that it takes stateful PEs.
"""

from __future__ import annotations

import argparse

from d4py_dynamic.mappings.redis import RedisMapping
from d4py_dynamic.worker.pinned_instance import COMMIT_INTERVAL
from dispel4py.engine.capabilities import Capabilities


class HybridRedisMapping(RedisMapping):
    """Runs any graph over Redis; answers to `redis` too."""

    name = "hybrid_redis"
    capabilities = Capabilities(
        stateful=True,
        group_by=True,
        broadcast=True,
        ordered=True,
        survives_worker_death=True,
        multi_host=True,
        shares_calls=True,
    )

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
