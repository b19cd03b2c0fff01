"""PEs for the tests of this folder, loaded as a workflow file so that any worker has them."""

import os
import time
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

from d4py_conformance.pes.failures import FailingNumbers, Fails  # noqa: F401
from d4py_conformance.pes.samples import Makes, Samples, Values, double  # noqa: F401
from dispel4py import GenericPE, IterativePE, ProducerPE


class Numbers(ProducerPE):
    """Sends 1, 2, 3, …, one per call."""

    counter = 0

    def _process(self, inputs):
        self.counter += 1
        return self.counter


class Blocks(ProducerPE):
    """Writes blocks of bytes, all in one call or one per call."""

    def __init__(self, size, times=1):
        super().__init__()
        self.size, self.times = size, times

    def _process(self, inputs):
        for _ in range(self.times):
            self.write("output", b"x" * self.size)


class Relay(IterativePE):
    def _process(self, data):
        return data


class Words(ProducerPE):
    """Sends (word, number of the call), a few words over and over."""

    counter = 0

    def _process(self, inputs):
        self.counter += 1
        word = ("one", "two", "three", "four", "five")[self.counter % 5]
        return word, self.counter


class Kept(GenericPE):
    """Keeps what it gets and sends it at its end, with its rank and process."""

    def __init__(self, grouping=None, instances=1):
        super().__init__(instances)
        self._add_input("input", grouping=grouping)
        self._add_output("output")
        self._add_output("ranks")
        if grouping is None:
            self.stateful = True
        self.got, self.ranks = [], set()

    def process(self, inputs):
        self.got.append(inputs["input"])
        self.ranks.add((self.rank, os.getpid()))

    def _postprocess(self):
        self.write("output", sorted(self.got))
        self.write("ranks", sorted(self.ranks))


class Replica(IterativePE):
    """Stateless, but sends at its end how many items this replica had."""

    ignored_state = ("had",)
    had = 0

    def _process(self, data):
        self.had += 1
        time.sleep(0.001)
        return data

    def _postprocess(self):
        self.write("output", f"had {self.had}")


class Size(IterativePE):
    """Counts bytes; its first item takes a while.  Sends how much larger its process became."""

    stateful = True

    def __init__(self, pause=0.0):
        super().__init__()
        self.pause, self.items, self.bytes = pause, 0, 0

    def _preprocess(self):
        self.before = getrusage(RUSAGE_SELF).ru_maxrss

    def _process(self, data):
        if not self.items:
            time.sleep(self.pause)
        self.items += 1
        self.bytes += len(data)

    def _postprocess(self):
        grown = getrusage(RUSAGE_SELF).ru_maxrss - self.before
        self.write("output", (self.items, self.bytes, grown * 1024))


class GrowingBlocks(Blocks):
    """Blocks, of which the last says how much larger the process became."""

    def _preprocess(self):
        self.before = getrusage(RUSAGE_SELF).ru_maxrss

    def _postprocess(self):
        grown = getrusage(RUSAGE_SELF).ru_maxrss - self.before
        self.write("output", b"grown by %d" % (grown * 1024))


class HangsOnce(IterativePE):
    """Makes a file with its process number and waits forever, unless that file exists."""

    def __init__(self, path):
        super().__init__()
        self.path = str(path)

    def _process(self, data):
        try:  # only one of several workers hangs
            os.close(os.open(f"{self.path}.new", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return data
        ready = Path(f"{self.path}.ready")
        ready.write_text(str(os.getpid()))
        ready.rename(self.path)
        time.sleep(600)
        return data


class Signs(IterativePE):
    """Makes a file at its first item; stateful, so that it has a stream of its own."""

    stateful = True

    def __init__(self, path):
        super().__init__()
        self.path, self.items = str(path), 0

    def _process(self, data):
        self.items += 1
        if self.items == 1:
            Path(self.path).touch()
        return data


class Slow(IterativePE):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def _process(self, data):
        time.sleep(self.seconds)
        return data
