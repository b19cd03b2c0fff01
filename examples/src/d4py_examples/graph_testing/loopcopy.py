"""Two ways from the producer to the last PE, a short and a long one: no loop, though it looks so.

Every item arrives twice.

```console
$ dispel4py simple loopcopy -i 3
Outputs: {'TestOneInOneOut2': {'output': [1, 1, 2, 2, 3, 3]}}
```
"""

from d4py_examples.graph_testing.testing_PEs import TestOneInOneOut, TestProducer
from dispel4py.workflow_graph import WorkflowGraph

producer = TestProducer()
cons1 = TestOneInOneOut()
cons2 = TestOneInOneOut()
cons3 = TestOneInOneOut()
cons4 = TestOneInOneOut()

graph = WorkflowGraph()
graph.connect(producer, "output", cons1, "input")
graph.connect(producer, "output", cons2, "input")
graph.connect(cons1, "output", cons3, "input")
graph.connect(cons3, "output", cons4, "input")
graph.connect(cons4, "output", cons2, "input")
