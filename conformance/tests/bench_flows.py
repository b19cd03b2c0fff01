"""The workflows of the benchmarks of processes, for d4py and for dispel4py of old alike.

So they use the import paths of old, print what they found where D4PY_BENCH_PRINT is set,
and send no results.
"""

import os
import random
import time

from dispel4py.base import ConsumerPE, IterativePE, ProducerPE
from dispel4py.workflow_graph import WorkflowGraph

#: Loops of `burn` per call, seconds per wait, processes that wait, pause before a lone item.
BURN, WAIT, WAITERS, PAUSE = 200_000, 0.01, 16, 0.02


#: Waits of the skewed workflow, in seconds, as in the papers on dispel4py's dynamic mappings.
SKEW = [0.4 * random.Random(number).betavariate(2, 5) for number in range(200)]
SKEWED_WAITERS = 8
#: What a slow consumer takes per item, in seconds.
SLOW = 0.001
#: Bursts, the pause before each in seconds, and how many items come at once.
BURSTS, GAP, BURST = 4, 1.0, 160


class Numbers(ProducerPE):
    def __init__(self):
        ProducerPE.__init__(self)
        self.counter = 0

    def _process(self, inputs):
        self.counter += 1
        return self.counter


class Stamps(ProducerPE):
    """Sends the time, after a pause in which all others become idle."""

    def __init__(self):
        ProducerPE.__init__(self)

    def _process(self, inputs):
        time.sleep(PAUSE)
        return time.monotonic()


class Relay(IterativePE):
    def __init__(self):
        IterativePE.__init__(self)

    def _process(self, data):
        return data


class Report(IterativePE):
    """Keeps a number per item, and sends them at the end."""

    stateful = True

    def __init__(self):
        IterativePE.__init__(self)
        self.kept = []

    def _process(self, data):
        self.kept.append(self.number(data))

    def postprocess(self):
        if "D4PY_BENCH_PRINT" in os.environ:
            print(" ".join(["REPORT", *map(str, self.kept)]), flush=True)
        self.write("output", self.kept)


class Delays(Report):
    """How long items were on their way, in seconds."""

    def number(self, data):
        return time.monotonic() - data


class Arrivals(Report):
    """When items arrived."""

    def number(self, data):
        return time.monotonic()


class Sink(ConsumerPE):
    def __init__(self):
        ConsumerPE.__init__(self)

    def _process(self, data):
        pass


class Kilobytes(ProducerPE):
    """Sends 1 KiB per call."""

    def __init__(self):
        ProducerPE.__init__(self)

    def _process(self, inputs):
        return os.urandom(1024)


class Slow(ConsumerPE):
    def __init__(self):
        ConsumerPE.__init__(self)

    def _process(self, data):
        time.sleep(SLOW)


class Named(Relay):
    """Writes its process to a file."""

    def __init__(self, file):
        Relay.__init__(self)
        self.file = file

    def preprocess(self):
        with open(self.file, "a") as pids:
            pids.write(f"{os.getpid()}\n")


class Waits(ConsumerPE):
    def __init__(self):
        ConsumerPE.__init__(self)
        self.numprocesses = WAITERS

    def _process(self, data):
        time.sleep(WAIT)


class Skewed(Numbers):
    """Sends how long to wait."""

    def _process(self, inputs):
        return SKEW[Numbers._process(self, inputs) - 1]


class Bursts(ProducerPE):
    def __init__(self):
        ProducerPE.__init__(self)

    def _process(self, inputs):
        time.sleep(GAP)
        for number in range(BURST):
            self.write("output", number)


class WaitsAsTold(ConsumerPE):
    def __init__(self, numprocesses=SKEWED_WAITERS):
        ConsumerPE.__init__(self)
        self.numprocesses = numprocesses

    def _process(self, data):
        time.sleep(data)


class Burns(ConsumerPE):
    def __init__(self):
        ConsumerPE.__init__(self)
        self.numprocesses = 2

    def _process(self, data):
        burn()


def burn():
    total = 0
    for number in range(BURN):
        total += number * number
    return total


def chained(*pes):
    graph = WorkflowGraph()
    for source, destination in zip(pes, pes[1:]):  # noqa: B905, RUF007 - runs on any Python
        graph.connect(source, "output", destination, "input")
    return graph


five_hops = chained(Numbers(), *(Relay() for _ in range(4)), Sink())
lone = chained(Stamps(), *(Relay() for _ in range(4)), Delays())
ending = chained(Numbers(), *(Relay() for _ in range(4)), Arrivals())
waits = chained(Numbers(), Waits())
burns = chained(Numbers(), Burns())
skewed = chained(Skewed(), WaitsAsTold())
bursts = chained(Bursts(), Waits())
steady = chained(Numbers(), Waits())
behind = chained(Kilobytes(), Slow())
