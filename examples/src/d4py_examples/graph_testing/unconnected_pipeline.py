"""Two pipelines in one graph that know nothing of each other; ``-i`` counts for both producers.

```console
$ dispel4py simple unconnected_pipeline -i 3
Outputs: {'TestOneInOneOut5': {'output': [1, 2, 3]}, 'TestOneInOneOut11': {'output': [1, 2, 3]}}
```
"""

from d4py_examples.graph_testing.testing_PEs import TestOneInOneOut, TestProducer
from dispel4py.workflow_graph import WorkflowGraph

graph = WorkflowGraph()
for _ in range(2):
    previous = TestProducer()
    for _ in range(5):
        following = TestOneInOneOut()
        graph.connect(previous, "output", following, "input")
        previous = following
