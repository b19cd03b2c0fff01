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
from dispel4py.errors import D4pyError, ProcessingError, RunError, UsageError
from dispel4py.result import Failure, FailureCount, RunOptions, RunResult, RunStats
from dispel4py.running import run
from dispel4py.workflow_graph import WorkflowGraph

__all__ = [
    "BasePE",
    "CompositePE",
    "ConsumerPE",
    "D4pyError",
    "Failure",
    "FailureCount",
    "GenericPE",
    "IterativePE",
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
