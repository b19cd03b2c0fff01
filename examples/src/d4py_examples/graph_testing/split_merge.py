"""Two outputs of a producer go separate ways and meet again in a PE with two inputs.

```console
$ dispel4py simple split_merge -i 3
Outputs: {'TestTwoInOneOut3': {'output': ['1', '1', '2', '2', '3', '3']}}
```
"""

from d4py_examples.graph_testing.testing_PEs import (
    TestOneInOneOut,
    TestOneInOneOutWriter,
    TestProducer,
    TestTwoInOneOut,
)
from dispel4py.workflow_graph import WorkflowGraph

producer = TestProducer(2)
cons1 = TestOneInOneOut()
cons2 = TestOneInOneOutWriter()
last = TestTwoInOneOut()

graph = WorkflowGraph()
graph.connect(producer, "output0", cons1, "input")
graph.connect(producer, "output1", cons2, "input")
graph.connect(cons1, "output", last, "input0")
graph.connect(cons2, "output", last, "input1")
