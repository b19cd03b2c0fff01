"""The sieve of Eratosthenes as a chain of 199 PEs, each of which keeps one prime.

The first number that reaches a sieve is a prime; later ones pass on unless it divides them.  The
primes of all sieves meet in one collector: 168 of them below 1000, so the last sieves stay empty.

```console
$ dispel4py simple sieveoferatosthenes -i 1
Outputs: {'PrimeCollector2': {'output': [2, 3, 5, 7, 11, ..., 977, 983, 991, 997]}}
```
"""

from d4py_examples.graph_testing.testing_PEs import IntegerProducer
from dispel4py.base import IterativePE
from dispel4py.core import GenericPE
from dispel4py.workflow_graph import WorkflowGraph


class Sieve(GenericPE):
    """Keeps the first number that it sees and drops the multiples of it."""

    stateful = True

    def __init__(self):
        super().__init__()
        self._add_input("input")
        self._add_output("output")
        self._add_output("prime")
        self.divisor = None

    def _process(self, inputs):
        number = inputs["input"]
        if self.divisor is None:
            self.divisor = number
            return {"prime": number}
        return {"output": number} if number % self.divisor else None


class PrimeCollector(IterativePE):
    """Where the primes come together."""

    def _process(self, prime):
        return prime


collector = PrimeCollector()
previous = IntegerProducer(2, 1000)

graph = WorkflowGraph()
for _ in range(199):
    sieve = Sieve()
    graph.connect(previous, "output", sieve, "input")
    graph.connect(sieve, "prime", collector, "input")
    previous = sieve
