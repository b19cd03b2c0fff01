"""Stream workflows, written once and run in one process, on all cores, with MPI or with Redis.

>>> from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run
>>> class Count(ProducerPE):
...     total = 0
...
...     def _process(self, inputs):
...         self.total += 1
...         return self.total
>>> class Square(IterativePE):
...     def _process(self, data):
...         return data * data
>>> graph = WorkflowGraph()
>>> graph.connect(Count(), "output", Square(), "input")
>>> run(graph, inputs=3).outputs
{'Square1': {'output': [1, 4, 9]}}
"""

from typing import TYPE_CHECKING, Any

from dispel4py.base import (
    BasePE,
    CompositePE,
    ConsumerPE,
    IterativePE,
    ProducerPE,
    SimpleFunctionPE,
    create_iterative_chain,
)
from dispel4py.core import GenericPE
from dispel4py.engine.planning.capabilities import Capabilities
from dispel4py.errors import D4pyError, ProcessingError, RunError, UsageError
from dispel4py.registry import Mapping
from dispel4py.result import (
    Failure,
    FailureCount,
    InstanceStats,
    OnFailure,
    OnResult,
    RunOptions,
    RunResult,
    RunStats,
)
from dispel4py.running import run
from dispel4py.workflow_graph import WorkflowGraph

__all__ = [
    "BasePE",
    "Capabilities",
    "CompositePE",
    "ConsumerPE",
    "D4pyError",
    "Failure",
    "FailureCount",
    "GenericPE",
    "InstanceStats",
    "IterativePE",
    "Mapping",
    "OnFailure",
    "OnResult",
    "ProcessingError",
    "ProducerPE",
    "RunError",
    "RunOptions",
    "RunResult",
    "RunStats",
    "SimpleFunctionPE",
    "UsageError",
    "WorkflowGraph",
    "create_iterative_chain",
    "run",
]

if TYPE_CHECKING:
    __version__: str


def __getattr__(name: str) -> Any:
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version  # takes as long as the rest of this import

    return version("d4py-core")
