"""Names of the mappings and their modules in dispel4py."""

from __future__ import annotations

#: Mapping name → module path in dispel4py; the command line accepts both.
config: dict[str, str] = {
    "simple": "dispel4py.new.simple_process",
    "multi": "dispel4py.new.multi_process",
    "zmq_multi": "dispel4py.new.zmq_multi",
    "mpi": "dispel4py.new.mpi_process",
    "dyn_multi": "dispel4py.new.new_dynamic",
    "dyn_auto_multi": "dispel4py.new.new_dynamic_auto",
    "dyn_redis": "dispel4py.new.new_dynamic_redis",
    "dyn_auto_redis": "dispel4py.new.new_dynamic_redis_auto",
    "hybrid_redis": "dispel4py.new.new_hybrid_redis",
    "redis": "dispel4py.new.dynamic_redis",
}
