"""PEs that write to files and do not close them."""

from dispel4py import ConsumerPE, ProducerPE


class Count(ProducerPE):
    n = 0

    def _process(self, inputs):
        self.n += 1
        return self.n


class Holds(ConsumerPE):
    """Writes lines to what it has opened, and never closes it."""

    opened = staticmethod(open)

    def __init__(self, path):
        super().__init__()
        self.path = str(path)

    def _preprocess(self):
        self.file = self.opened(self.path, "wt", encoding="utf-8")
        self.out = self.file.write

    def _process(self, data):
        self.out(f"line {data}\n")
