"""Four functions in a row as one composite, used like a PE: ((x + 2) * 4) / 2 - 1.

```console
$ dispel4py simple pipeline_composite -i 3
Outputs: {'PE_subtract4': {'output': [5.0, 7.0, 9.0]}}
```
"""

from d4py_examples.graph_testing.testing_PEs import TestProducer
from dispel4py.base import create_iterative_chain
from dispel4py.workflow_graph import WorkflowGraph


def addTwo(data):
    """Two more."""
    return data + 2


def multiplyByFour(data):
    """Four times as much."""
    return data * 4


def divideByTwo(data):
    """Half of it."""
    return data / 2


def subtract(data, n):
    """`n` less."""
    return data - n


composite = create_iterative_chain([addTwo, multiplyByFour, divideByTwo, (subtract, {"n": 1})])
producer = TestProducer()

graph = WorkflowGraph()
graph.connect(producer, "output", composite, "input")
