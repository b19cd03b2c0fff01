"""Five instances all send to instance 0 of the next PE: the grouping ``"global"``.

The other four instances of that PE exist and get nothing.

```console
$ dispel4py simple grouping_alltoone -i 3
Outputs: {'TestOneInOneOut2': {'output': [1, 2, 3]}}
```
"""

from d4py_examples.graph_testing.testing_PEs import TestOneInOneOut, TestProducer
from dispel4py.workflow_graph import WorkflowGraph

producer = TestProducer()
senders = TestOneInOneOut()
senders.numprocesses = 5
receiver = TestOneInOneOut()
receiver.inputconnections["input"]["grouping"] = "global"
receiver.numprocesses = 5

graph = WorkflowGraph()
graph.connect(producer, "output", senders, "input")
graph.connect(senders, "output", receiver, "input")
