"""A pipeline: a producer and five PEs, each of which hands on what it gets.

```console
$ dispel4py simple pipeline_test -i 3
Outputs: {'TestOneInOneOut5': {'output': [1, 2, 3]}}
```
"""

from d4py_examples.graph_testing.testing_PEs import TestOneInOneOut, TestProducer
from dispel4py.workflow_graph import WorkflowGraph

graph = WorkflowGraph()
previous = TestProducer()
for _ in range(5):
    following = TestOneInOneOut()
    graph.connect(previous, "output", following, "input")
    previous = following
