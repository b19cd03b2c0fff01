"""A workflow as those of old, for tests of old names."""

from dispel4py import GenericPE, ProducerPE


class Source(ProducerPE):
    counter = 0

    def _process(self, inputs):
        self.counter += 1
        return inputs.get("value", self.counter)


class Two(GenericPE):
    def __init__(self):
        super().__init__()
        self._add_input("input")
        self._add_output("a")
        self._add_output("b")

    def process(self, inputs):
        self.write("a", inputs["input"])
        return {"b": -inputs["input"]}
