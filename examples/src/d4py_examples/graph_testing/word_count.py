"""Counts words in three instances of the counter; equal words meet in the same one.

```console
$ dispel4py simple word_count -i 3
Outputs: {'WordCounter1': {'output': [['Infrastructure', 1], ['Seismology', 1],
['Infrastructure', 2]]}}
```
"""

from d4py_examples.graph_testing.testing_PEs import RandomWordProducer, WordCounter
from dispel4py.workflow_graph import WorkflowGraph

words = RandomWordProducer()
counter = WordCounter()
counter.numprocesses = 3

graph = WorkflowGraph()
graph.connect(words, "output", counter, "input")
