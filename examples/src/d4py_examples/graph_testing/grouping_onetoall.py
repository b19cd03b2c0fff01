"""Every item goes to both instances of the next PE: the grouping ``"all"``.

```console
$ dispel4py simple grouping_onetoall -i 3
Outputs: {'TestOneInOneOut1': {'output': [1, 1, 2, 2, 3, 3]}}
```
"""

from d4py_examples.graph_testing.testing_PEs import TestOneInOneOut, TestProducer
from dispel4py.workflow_graph import WorkflowGraph

producer = TestProducer()
receivers = TestOneInOneOut()
receivers.inputconnections["input"]["grouping"] = "all"
receivers.numprocesses = 2

graph = WorkflowGraph()
graph.connect(producer, "output", receivers, "input")
