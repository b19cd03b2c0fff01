"""One output joined to two PEs: each of them gets every item.

```console
$ dispel4py simple producer_tee -i 3
Outputs: {'TestOneInOneOut3': {'output': [1, 2, 3]}, 'TestOneInOneOut2': {'output': [1, 2, 3]}}
```
"""

from d4py_examples.graph_testing.testing_PEs import TestOneInOneOut, TestProducer
from dispel4py.workflow_graph import WorkflowGraph

producer = TestProducer()
cons1 = TestOneInOneOut()
cons2 = TestOneInOneOut()
cons3 = TestOneInOneOut()

graph = WorkflowGraph()
graph.connect(producer, "output", cons1, "input")
graph.connect(producer, "output", cons2, "input")
graph.connect(cons1, "output", cons3, "input")
