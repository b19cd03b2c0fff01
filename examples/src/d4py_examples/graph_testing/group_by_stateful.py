"""Counts words in two instances of the counter; equal words meet in the same one.

Three PEs that may share a process, as `graph.partitions` says, stand between words and counter.

```console
$ dispel4py simple group_by_stateful -i 3
Outputs: {'WordCounter4': {'output': [['Infrastructure', 1], ['Seismology', 1],
['Infrastructure', 2]]}}
```
"""

from d4py_examples.graph_testing.testing_PEs import RandomWordProducer, TestOneInOneOut, WordCounter
from dispel4py.workflow_graph import WorkflowGraph

words = RandomWordProducer()
copies = [TestOneInOneOut() for _ in range(3)]
counter = WordCounter()
counter.numprocesses = 2

graph = WorkflowGraph()
graph.connect(words, "output", copies[0], "input")
graph.connect(copies[0], "output", copies[1], "input")
graph.connect(copies[1], "output", copies[2], "input")
graph.connect(copies[2], "output", counter, "input")
graph.partitions = [[words], copies, [counter]]
