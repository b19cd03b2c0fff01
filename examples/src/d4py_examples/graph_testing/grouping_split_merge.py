"""Words pass two different filters side by side, and one counter counts what passes either.

A word that both filters let through is counted twice.

```console
$ dispel4py simple grouping_split_merge -i 6
Outputs: {'WordCounter3': {'output': [['Infrastructure', 1], ['Seismology', 1],
['Infrastructure', 2], ['Seismology', 2], ['Dispel4Py', 1], ['Dispel4Py', 2], ['Computing', 1]]}}
```
"""

from d4py_examples.graph_testing.testing_PEs import RandomFilter, RandomWordProducer, WordCounter
from dispel4py.workflow_graph import WorkflowGraph

words = RandomWordProducer()
filter0 = RandomFilter(seed=0)
filter1 = RandomFilter(seed=1)
counter = WordCounter()

graph = WorkflowGraph()
graph.connect(words, "output", filter0, "input")
graph.connect(words, "output", filter1, "input")
graph.connect(filter0, "output", counter, "input")
graph.connect(filter1, "output", counter, "input")
