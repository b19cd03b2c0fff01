"""A producer that writes ten items in each call.

```console
$ dispel4py simple multi_producer -i 1
Outputs: {'TestOneInOneOut2': {'output': [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}}
```
"""

from d4py_examples.graph_testing.testing_PEs import TestMultiProducer, TestOneInOneOut
from dispel4py.workflow_graph import WorkflowGraph

producer = TestMultiProducer()
cons1 = TestOneInOneOut()
cons2 = TestOneInOneOut()

graph = WorkflowGraph()
graph.connect(producer, "output", cons1, "input")
graph.connect(cons1, "output", cons2, "input")
