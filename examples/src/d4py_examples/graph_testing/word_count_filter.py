"""Counts the words that five instances of a filter let through, in three instances.

```console
$ dispel4py simple word_count_filter -i 6
Outputs: {'WordCounter2': {'output': [['Infrastructure', 1], ['Infrastructure', 2],
['Dispel4Py', 1], ['Computing', 1]]}}
```
"""

from d4py_examples.graph_testing.testing_PEs import RandomFilter, RandomWordProducer, WordCounter
from dispel4py.workflow_graph import WorkflowGraph

words = RandomWordProducer()
word_filter = RandomFilter()
word_filter.numprocesses = 5
counter = WordCounter()
counter.numprocesses = 3

graph = WorkflowGraph()
graph.connect(words, "output", word_filter, "input")
graph.connect(word_filter, "output", counter, "input")
