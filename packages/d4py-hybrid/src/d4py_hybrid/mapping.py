"""The mapping `hybrid_redis`: stateless PEs shared by all workers, stateful ones pinned.

Each stateful instance has a stream of its own in Redis and one owner; everything else is done by
whichever worker is free.  The machinery is that of `d4py_dynamic`; this mapping declares that it
takes stateful PEs.
"""

from __future__ import annotations

import argparse
from typing import Any

from d4py_dynamic.redis_mapping import add_redis_arguments, run_on_redis
from dispel4py.registry import Capabilities
from dispel4py.result import RunOptions, RunResult
from dispel4py.workflow_graph import WorkflowGraph


class HybridRedisMapping:
    """Runs a graph over Redis; answers to `redis` too."""

    name = "hybrid_redis"
    capabilities = Capabilities(stateful=True, group_by=True, broadcast=True)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Mapping`."""
        add_redis_arguments(parser)

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.registry.Mapping`."""
        return run_on_redis(self.name, self.capabilities, graph, inputs, options)
