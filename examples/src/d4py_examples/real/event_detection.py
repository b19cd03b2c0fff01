"""Finds an earthquake in the records of four seismic stations, one second of data at a time.

The records are made up: noise, and from second 30 on a wave that reaches one station after the
other.  Each one-second window is freed of its mean, its energy compared with that of the ten
windows before it (STA/LTA: R. V. Allen, "Automatic earthquake recognition and timing from single
traces", BSSA 68, 1978), and the first window of a station that stands out is a pick.  Windows are
grouped by station, so that those of one station meet, and may be spread over two instances.

```console
$ dispel4py simple d4py_examples.real.event_detection -i 60
Outputs: {'Detector2': {'output': [{'station': 'ABER', 'second': 30},
{'station': 'BUTE', 'second': 32}, {'station': 'COLL', 'second': 35},
{'station': 'DYCE', 'second': 39}]}}
```
"""

import math
import random
from collections import deque

from dispel4py.base import IterativePE, ProducerPE
from dispel4py.workflow_graph import WorkflowGraph

SAMPLES_PER_SECOND = 100
#: Station → second in which the wave reaches it.
ARRIVALS = {"ABER": 30, "BUTE": 32, "COLL": 35, "DYCE": 39}


class Stations(ProducerPE):
    """Writes the next second of every station's record in each call."""

    def __init__(self, seed=0):
        super().__init__()
        self.second = 0
        self.random = random.Random(seed)

    def _process(self, inputs):
        for station, arrival in ARRIVALS.items():
            samples = [
                self._sample(self.second - arrival + i / SAMPLES_PER_SECOND)
                for i in range(SAMPLES_PER_SECOND)
            ]
            window = {"station": station, "second": self.second, "samples": samples}
            self.write("output", window)
        self.second += 1

    def _sample(self, since_arrival):
        noise = 3.0 + self.random.gauss(0.0, 1.0)
        if since_arrival < 0:
            return noise
        return noise + 20.0 * math.exp(-since_arrival / 5.0) * math.sin(12.0 * since_arrival)


class RemoveMean(IterativePE):
    """Takes the mean away: what is left of a quiet station swings around zero."""

    def _process(self, window):
        samples = window["samples"]
        mean = sum(samples) / len(samples)
        return {**window, "samples": [sample - mean for sample in samples]}


class Detector(IterativePE):
    """Sends the first window of a station that has many times the energy of those before it.

    Args:
        windows: how many windows before count.
        threshold: how many times their mean energy it takes.
    """

    def __init__(self, windows=10, threshold=5.0):
        super().__init__()
        self._add_input("input", grouping=["station"])
        self.windows = windows
        self.threshold = threshold
        self.energies = {}
        self.picked = set()

    def _process(self, window):
        station = window["station"]
        energy = sum(sample * sample for sample in window["samples"])
        before = self.energies.setdefault(station, deque(maxlen=self.windows))
        stands_out = len(before) == self.windows and energy > self.threshold * sum(before) / len(
            before
        )
        before.append(energy)
        if not stands_out or station in self.picked:
            return None
        self.picked.add(station)
        return {"station": station, "second": window["second"]}


stations = Stations()
remove_mean = RemoveMean()
detector = Detector()
detector.numprocesses = 2

graph = WorkflowGraph()
graph.connect(stations, "output", remove_mean, "input")
graph.connect(remove_mean, "output", detector, "input")
