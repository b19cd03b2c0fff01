"""The PEs that the workflows of this folder are made from.

They do next to nothing, so that a workflow shows its graph and nothing else.  What is random here
depends on a seed alone: it is the same on every run, in every mapping, on any number of processes.
"""

import random
import time

from dispel4py.base import BasePE, ConsumerPE, IterativePE, ProducerPE
from dispel4py.core import TYPE, GenericPE


class TestProducer(GenericPE):
    """Counts its calls: sends 1, 2, 3, … to each of its outputs.

    Args:
        numOutputs: 1 makes one output named ``output``; more make ``output0``, ``output1``, …
    """

    __test__ = False  # so that pytest does not take a PE of this name for a test

    def __init__(self, numOutputs=1):
        super().__init__()
        if numOutputs == 1:
            self._add_output("output", tuple_type=["number"])
        else:
            for i in range(numOutputs):
                self._add_output(f"output{i}", tuple_type=["number"])
        self.counter = 0

    def _process(self, inputs):
        self.counter += 1
        return dict.fromkeys(self.outputconnections, self.counter)


class NumberProducer(GenericPE):
    """Writes ``[counter * i + i]`` for i = 0, 1, … in each call.

    `counter` is the number of the call, from 0: the first writes ``[0]``, ``[1]``, ``[2]``, …

    Args:
        numIterations: how many items each call writes.
    """

    def __init__(self, numIterations=1):
        super().__init__()
        self._add_output("output", tuple_type=["number"])
        self.counter = 0
        self.numIterations = numIterations

    def process(self, inputs):
        for i in range(self.numIterations):
            self.write("output", [self.counter * i + i])
        self.counter += 1


class IntegerProducer(ProducerPE):
    """Writes all integers from `start` to `limit` - 1 in each call."""

    def __init__(self, start, limit):
        super().__init__()
        self.start = start
        self.limit = limit

    def _process(self, inputs):
        for number in range(self.start, self.limit):
            self.write("output", number)


class TestMultiProducer(GenericPE):
    """Writes 0, 1, …, `num_output` - 1 in each call."""

    __test__ = False

    def __init__(self, num_output=10):
        super().__init__()
        self._add_output("output")
        self.num_output = num_output

    def _process(self, inputs):
        for number in range(self.num_output):
            self.write("output", number)


class TestOneInOneOut(GenericPE):
    """Sends what it gets; its output has the type of its input."""

    __test__ = False

    def __init__(self):
        super().__init__()
        self._add_input("input")
        self._add_output("output")

    def set_input_types(self, types):
        super().set_input_types(types)
        if "input" in types:
            self.outputconnections["output"][TYPE] = types["input"]

    def process(self, inputs):
        return {"output": inputs["input"]}


class TestOneInOneOutWriter(TestOneInOneOut):
    """Sends what it gets, by `write` instead of by returning it."""

    def process(self, inputs):
        self.write("output", inputs["input"])


class TestDelayOneInOneOut(TestOneInOneOut):
    """Sends what it gets after `delay` seconds."""

    def __init__(self, delay=1):
        super().__init__()
        self.delay = delay

    def process(self, inputs):
        time.sleep(self.delay)
        return {"output": inputs["input"]}


class TestIterative(IterativePE):
    """Sends what it gets, as an `IterativePE` does it."""

    __test__ = False

    def _process(self, data):
        return data


class TestTwoInOneOut(BasePE):
    """Sends ``str(data)`` of whatever arrives at either of its two inputs."""

    __test__ = False

    def __init__(self):
        super().__init__(num_inputs=2, outputs=["output"])

    def process(self, inputs):
        data = inputs["input0"] if "input0" in inputs else inputs["input1"]
        return {"output": str(data)}


class PrintDataConsumer(ConsumerPE):
    """Prints what it gets."""

    def _process(self, data):
        print(data)


class ProvenanceLogger(GenericPE):
    """Logs what arrives at its input ``metadata``."""

    def __init__(self):
        super().__init__()
        self._add_input("metadata")

    def process(self, inputs):
        self.log(f"Logging metadata: {inputs['metadata']}")


class RandomWordProducer(ProducerPE):
    """Sends a word at random in each call, as a list of one: ``['Seismology']``.

    The same seed gives the same words in the same order.
    """

    words = (
        "Dispel4Py",
        "Earthquake",
        "Computing",
        "Seismology",
        "Modelling",
        "Analysis",
        "Infrastructure",
    )

    def __init__(self, seed=0):
        super().__init__()
        self._add_output("output", tuple_type=["word"])
        self.random = random.Random(seed)

    def _process(self, inputs):
        return [self.random.choice(self.words)]


class RandomFilter(IterativePE):
    """Lets about half of all values through, chosen at random but for good.

    What becomes of an item depends on its value and the seed alone, neither on what came before nor
    on the instance that sees it: equal items either all pass or are all dropped.  Of the seven
    words of `RandomWordProducer`, seeds 0 and 1 let four through each, so about 4/7 of its items.
    """

    def __init__(self, seed=0):
        super().__init__()
        self._add_input("input", tuple_type=["word"])
        self._add_output("output", tuple_type=["word"])
        self.seed = seed

    def _process(self, data):
        return data if random.Random(f"{self.seed} {data!r}").random() < 0.5 else None


class WordCounter(IterativePE):
    """Counts words: for ``[word]`` sends ``[word, how often it has come so far]``.

    Its input is grouped by the word, so that however many instances there are, equal words meet.
    """

    def __init__(self):
        super().__init__()
        self._add_input("input", grouping=[0], tuple_type=["word"])
        self._add_output("output", tuple_type=["word", "count"])
        self.mywords = {}

    def _process(self, data):
        word = data[0]
        self.mywords[word] = self.mywords.get(word, 0) + 1
        return [word, self.mywords[word]]
