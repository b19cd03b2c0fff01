"""PEs for the tests of this folder; loaded as a workflow file, as all ranks can."""

import os
import time
from pathlib import Path
from pickle import PickleBuffer
from resource import RUSAGE_SELF, getrusage
from threading import Event, Thread
from types import SimpleNamespace

from d4py_conformance.pes.failures import FailingNumbers, Fails  # noqa: F401
from d4py_conformance.pes.samples import Makes, Samples, Values, double  # noqa: F401
from d4py_conformance.waiting import wait_until
from dispel4py import GenericPE, IterativePE, ProducerPE

MIB = 1 << 20


def peak():
    """Return the peak memory of this process, in bytes."""
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:  # macOS, which counts in bytes
        return getrusage(RUSAGE_SELF).ru_maxrss
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def wait_for(path):
    """Wait until a file exists."""
    wait_until(lambda: os.path.exists(path), f"the file {path}")


def file_for_each(folder):
    """Return an ``on_result`` that makes a file in the folder for each item, by its name."""
    return lambda pe_id, output, item: Path(folder, str(item)).touch()


class NeverReturns(ProducerPE):
    """Sends 1 from a thread, and never returns from its call."""

    def _process(self, inputs):
        Thread(target=self.write, args=("output", 1), daemon=True).start()
        Event().wait()


class Numbers(ProducerPE):
    """Sends 1, 2, 3, …, one per call."""

    counter = 0

    def _process(self, inputs):
        self.counter += 1
        return self.counter


class CountsPickling:
    """Counts how often it was pickled, in its pickle."""

    def __init__(self, pickled=0, data=bytes(1 << 20)):
        self.pickled = pickled
        self.data = data

    def __reduce__(self):
        return CountsPickling, (self.pickled + 1, PickleBuffer(self.data))


class CannotBeLoaded(CountsPickling):
    def __reduce__(self):
        return divide, (1, 0, PickleBuffer(self.data))


def divide(number, by, data):
    return number / by


class SendsOneInFour(IterativePE):
    """Sends its items on; in place of the second one of four, one that cannot be unpickled."""

    def _process(self, data):
        return CannotBeLoaded() if data % 4 == 2 else data


class SendsUnloadable(ProducerPE):
    """Sends an item that cannot be unpickled."""

    def _process(self, inputs):
        return CannotBeLoaded()


class SendsCounting(ProducerPE):
    def _process(self, inputs):
        return CountsPickling()


class Relay(IterativePE):
    def __init__(self, instances=1):
        super().__init__()
        self.numprocesses = instances

    def _process(self, data):
        return data


class Instances(IterativePE):
    """Sends (process number, item)."""

    def __init__(self, instances=1):
        super().__init__()
        self.numprocesses = instances

    def _process(self, data):
        return os.getpid(), data


class SendsUnloadableFromOne(IterativePE):
    """Sends its items on; its instance in rank 3, items that cannot be unpickled."""

    numprocesses = 3

    def __init__(self):
        super().__init__()
        self.inputconnections["input"]["grouping"] = "all"

    def _process(self, data):
        return CannotBeLoaded() if self.rank == 3 else data


class Kept(GenericPE):
    """Keeps its items and sends them in postprocess."""

    def __init__(self, grouping=None, instances=1):
        super().__init__(instances)
        self._add_input("input", grouping=grouping)
        self._add_output("output")
        self.stateful = True
        self.got = []

    def process(self, inputs):
        self.got.append(inputs["input"])

    def _postprocess(self):
        self.write("output", self.got)


class Words(ProducerPE):
    """Sends (word, number of the call), some words over and over."""

    counter = 0

    def _process(self, inputs):
        self.counter += 1
        return f"word {self.counter % 17}", self.counter


class Blocks(ProducerPE):
    """Writes blocks of bytes, some per call, and in postprocess its peak memory."""

    def __init__(self, size, times=1):
        super().__init__()
        self.size, self.times = size, times

    def _process(self, inputs):
        for _ in range(self.times):
            self.write("output", os.urandom(8) + b"x" * (self.size - 8))

    def _postprocess(self):
        self.write("output", peak())


class MeasuredRelay(Relay):
    """Sends its items on, and in postprocess its peak memory."""

    def _postprocess(self):
        self.write("output", peak())


class Size(IterativePE):
    """Counts items and bytes, pausing at the first; sends them in postprocess, with all peaks."""

    stateful = True

    def __init__(self, pause=0.0):
        super().__init__()
        self.pause, self.items, self.bytes, self.peaks = pause, 0, 0, []

    def _process(self, data):
        if isinstance(data, int):
            self.peaks.append(data)
            return
        if not self.items:
            time.sleep(self.pause)
        self.items += 1
        self.bytes += len(data)

    def _postprocess(self):
        self.write("output", (self.items, self.bytes, [*self.peaks, peak()]))


class Sleeps(IterativePE):
    """Sleeps at every item, or at one, and makes a file before if it has a path."""

    def __init__(self, seconds, at=None, path=None):
        super().__init__()
        self.seconds, self.at, self.path = seconds, at, path and str(path)

    def _process(self, data):
        if self.path:
            Path(self.path).touch()
        if self.at in (None, data):
            time.sleep(self.seconds)
        return data


class WaitsFor(Relay):
    """Waits at one item until a file exists."""

    def __init__(self, at, path, instances):
        super().__init__(instances)
        self.at, self.path = at, str(path)

    def _process(self, data):
        if data == self.at:
            wait_for(self.path)
        return data


class Handshakes(ProducerPE):
    """Writes 1, 2, …, each when a file for the last one exists, and some milliseconds later."""

    def __init__(self, folder, times):
        super().__init__()
        self.folder, self.times = str(folder), times

    def _process(self, inputs):
        for number in range(1, self.times + 1):
            time.sleep(0.015)
            if number > 1:
                wait_for(f"{self.folder}/{number - 1}")
            self.write("output", number)


class Large(ProducerPE):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def _process(self, inputs):
        return b"x" * self.size


class Appends(IterativePE):
    """Appends to its items, which are lists."""

    def _process(self, data):
        data.append("seen")
        return data


class Lists(ProducerPE):
    """Sends the same list again and again, and changes it in between."""

    def __init__(self):
        super().__init__()
        self.data = []

    def _process(self, inputs):
        self.data.append(len(self.data) + 1)
        self.write("output", self.data)


class Hashes(IterativePE):
    def _process(self, data):
        return hash("d4py")


class PacedCalls(ProducerPE):
    """Sends 1, 2, …, one per call, each when a file for the last but one exists."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.number = str(folder), 0

    def _process(self, inputs):
        self.number += 1
        time.sleep(0.02)
        if self.number > 2:
            wait_for(f"{self.folder}/{self.number - 2}")
        return self.number


class Arrays(ProducerPE):
    """Sends the same array again and again, and changes it in between."""

    def _preprocess(self):
        import numpy

        self.array = numpy.zeros(200_000)

    def _process(self, inputs):
        self.array += 1
        return {"data": self.array}


class SendsMixed(ProducerPE):
    """Writes masked arrays, and objects that pickle refuses, in turn; many are in one batch."""

    def _process(self, inputs):
        import numpy

        for number in range(40):
            masked = numpy.ma.masked_less(numpy.arange(100_000), number)
            other = SimpleNamespace(count=lambda number=number: number, text="long " * 200)
            self.write("output", masked if number % 2 else other)


class Counts(IterativePE):
    """Calls `count` of its items."""

    def _process(self, data):
        return int(data.count())


class WritesFromThreads(ProducerPE):
    """Writes large arrays from four threads at once, each full of one number."""

    def _process(self, inputs):
        threads = [Thread(target=self.write_some, args=(first,)) for first in range(0, 40, 10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def write_some(self, first):
        import numpy

        for number in range(first, first + 10):
            self.write("output", numpy.full(200_000, number))


class AddsInPlace(IterativePE):
    """Changes the array in its items."""

    def _process(self, data):
        data["data"] += 0.5
        return data


class KeptArrays(Kept):
    """Sends in postprocess the range of its arrays, and whether they are writable."""

    def _postprocess(self):
        for array in (item["data"] for item in self.got):
            self.write("output", (float(array.min()), float(array.max()), array.flags.writeable))


def array_of(number):
    import numpy

    return numpy.arange(300_000) * number


def sum_of(array):
    return int(array.sum())


def run_again(number):
    from dispel4py import ProducerPE, WorkflowGraph, run

    graph = WorkflowGraph()
    graph.add(ProducerPE())
    return run(graph, "mpi")


class Grows(IterativePE):
    """Adds one to its array at each item, in place, and sends the mean."""

    def __init__(self, array, instances):
        super().__init__()
        self.array, self.numprocesses, self.stateful = array, instances, True

    def _process(self, data):
        self.array += 1
        return int(self.array.sum()) // len(self.array)
