"""A pipeline whose last PE takes a tenth of a second for each item, and is watched meanwhile.

`ProcessTimingPE` logs how long the PE takes; what the PE sends stays the same.

```console
$ dispel4py simple delayed_pipeline -i 3
Outputs: {'TestDelayOneInOneOut2': {'output': [1, 2, 3]}}
```
"""

from d4py_examples.graph_testing.testing_PEs import (
    TestDelayOneInOneOut,
    TestOneInOneOut,
    TestProducer,
)
from dispel4py.new.monitoring import ProcessTimingPE
from dispel4py.workflow_graph import WorkflowGraph

producer = TestProducer()
copy = TestOneInOneOut()
slow = ProcessTimingPE(TestDelayOneInOneOut(delay=0.1))

graph = WorkflowGraph()
graph.connect(producer, "output", copy, "input")
graph.connect(copy, "output", slow, "input")
