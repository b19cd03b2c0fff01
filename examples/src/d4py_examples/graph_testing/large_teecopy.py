"""A pipeline that ends in two branches, fed by a producer that can write much in each call.

Here it writes one item per call; make it ``NumberProducer(1000)`` for a large one.

```console
$ dispel4py simple large_teecopy -i 3
Outputs: {'TestOneInOneOut2': {'output': [[0], [0], [0]]}, 'TestOneInOneOut3': {'output': [[0],
[0], [0]]}}
```
"""

from d4py_examples.graph_testing.testing_PEs import NumberProducer, TestOneInOneOut
from dispel4py.workflow_graph import WorkflowGraph

producer = NumberProducer()
copy = TestOneInOneOut()
left = TestOneInOneOut()
right = TestOneInOneOut()

graph = WorkflowGraph()
graph.connect(producer, "output", copy, "input")
graph.connect(copy, "output", left, "input")
graph.connect(copy, "output", right, "input")
