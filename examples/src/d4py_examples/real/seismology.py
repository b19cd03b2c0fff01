"""Picks, spectra and correlations of station pairs, from the records of a seismic network.

The records are those of four stations near Unterhaching, Bavaria, that come with ObsPy: four
minutes of 27 May 2010 with small earthquakes at a geothermal plant.  Each record is filtered, and
goes three ways:

- `Pick` finds where the short-term average of a record exceeds the long-term one by far (STA/LTA:
  R. V. Allen, BSSA 68, 1978);
- `Spectrum` averages the power spectra of a station's windows (P. D. Welch, IEEE Trans. Audio
  Electroacoust. 15, 1967);
- `Correlate` correlates the windows of each two stations, and `Stack` averages the correlations
  of a pair (N. M. Shapiro, M. Campillo, *Emergence of broadband Rayleigh waves from correlations of
  the ambient seismic noise*, GRL 31, 2004).

It runs on your own files, in any format that ObsPy reads:

```console
$ dispel4py multi d4py_examples.real.seismology -n 8 \
    -d '{"ReadRecords": [{"files": "day1/*.mseed"}, {"files": "day2/*.mseed"}]}'
```
"""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import obspy
from numpy.typing import NDArray
from obspy.signal.cross_correlation import correlate
from obspy.signal.trigger import recursive_sta_lta, trigger_onset

from dispel4py import IterativePE, ProducerPE, WorkflowGraph

if TYPE_CHECKING:
    from obspy import Trace

#: Vertical components of the four stations.
SAMPLE = f"{Path(obspy.__file__).parent}/signal/tests/data/BW.UH?._.?HZ.D.2010.147.cut.slist.gz"
#: Samples per second that all records are brought to.
RATE = 50.0
#: Hz; the small earthquakes are in this band.
BAND = (10.0, 20.0)
#: Seconds in a window.
WINDOW = 10
#: Seconds by which a station can be ahead of another one.
LONGEST_LAG = 2.0


class Window(TypedDict):
    """Some seconds of a station's record.

    `number` counts windows from 1970 on, so it is the same for all stations; `stations` is how many
    stations have one.
    """

    station: str
    number: int
    stations: int
    samples: NDArray[np.float64]


class ReadRecords(ProducerPE):
    """Sends the records of all stations of a network, as a `Trace` each.

    A call reads the files of one stretch of time, such as a day, and depends on no other call, so
    workers share them.
    """

    independent_calls = True

    def _process(self, inputs: dict[str, Any]) -> None:
        stream = obspy.read(inputs.get("files", SAMPLE))
        for trace in stream:
            # Big-endian samples, as of some SAC files, become nan in ObsPy's resample().
            trace.data = trace.data.astype(trace.data.dtype.newbyteorder("="), copy=False)
        stream.merge(fill_value="interpolate")  # one record for each station, gaps bridged
        for trace in stream:
            trace.stats.stations = len(stream)
            self.write("output", trace)


class Prepare(IterativePE):
    """Brings a record to the common rate, and lets through the band of the earthquakes."""

    def _process(self, trace: Trace) -> Trace:
        # The item is this PE's own: what it changes here, no other PE sees.
        trace.detrend("linear")
        trace.taper(max_percentage=0.05, max_length=1.0)
        trace.resample(RATE)
        trace.filter("bandpass", freqmin=BAND[0], freqmax=BAND[1])
        return trace


class Pick(IterativePE):
    """Sends when the ground began to shake more than before, and for how long.

    Args:
        short: seconds of the short-term average.
        long: seconds of the long-term average.
        on: a pick begins where short-term by long-term average exceeds this,
        off: and ends where it falls below this.
    """

    def __init__(
        self, short: float = 0.5, long: float = 10.0, on: float = 3.5, off: float = 1.0
    ) -> None:
        super().__init__()
        self.short, self.long = int(short * RATE), int(long * RATE)
        self.on, self.off = on, off

    def _process(self, trace: Trace) -> None:
        ratio = recursive_sta_lta(trace.data, self.short, self.long)
        for start, end in trigger_onset(ratio, self.on, self.off):
            pick = {
                "station": trace.stats.station,
                "time": str(trace.stats.starttime + start / RATE),
                "seconds": float(end - start) / RATE,
            }
            self.write("output", pick)


class Cut(IterativePE):
    """Cuts a record into windows that begin at the same moments for all stations."""

    def _process(self, trace: Trace) -> None:
        begin = trace.stats.starttime.timestamp
        first = math.ceil(begin / WINDOW)
        samples = trace.data[round((first * WINDOW - begin) * RATE) :]
        length = round(WINDOW * RATE)
        for i in range(len(samples) // length):
            window: Window = {
                "station": trace.stats.station,
                "number": first + i,
                "stations": trace.stats.stations,
                "samples": samples[i * length : (i + 1) * length],
            }
            self.write("output", window)


class Spectrum(IterativePE):
    """Sends the mean power spectrum of each station, when all its windows have come.

    The grouping brings all windows of a station to the same instance, and says that the PE keeps
    state: a mapping must not share its items out in another way.
    """

    def __init__(self) -> None:
        super().__init__()
        self.add_input("input", grouping=["station"])
        self.sums: dict[str, NDArray[np.float64]] = {}
        self.windows: dict[str, int] = defaultdict(int)

    def _process(self, window: Window) -> None:
        samples = window["samples"]
        power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
        station = window["station"]
        self.sums[station] = self.sums.get(station, 0.0) + power
        self.windows[station] += 1

    def postprocess(self) -> None:
        frequencies = np.fft.rfftfreq(round(WINDOW * RATE), 1 / RATE)
        for station, power in self.sums.items():
            mean = power / self.windows[station]
            self.write("output", {"station": station, "frequencies": frequencies, "power": mean})


class Correlate(IterativePE):
    """Phase 1: sends the correlation of each two stations in each window.

    Windows of the same number meet here, and are kept until those of all stations have come.
    """

    def __init__(self) -> None:
        super().__init__()
        self.add_input("input", grouping=["number"])
        self.windows: dict[int, list[Window]] = defaultdict(list)

    def _process(self, window: Window) -> None:
        together = self.windows[window["number"]]
        together.append(window)
        if len(together) < window["stations"]:
            return
        del self.windows[window["number"]]
        # In the order of their names, whichever came first: the sign of a lag depends on it.
        together.sort(key=lambda window: window["station"])
        shift = round(LONGEST_LAG * RATE)
        for one, other in combinations(together, 2):
            correlation = correlate(one["samples"], other["samples"], shift)
            pair = f"{one['station']}-{other['station']}"
            self.write("output", {"pair": pair, "correlation": correlation})


class Stack(IterativePE):
    """Phase 2: sends the mean correlation of each pair, and the lag at which it is greatest."""

    def __init__(self) -> None:
        super().__init__()
        self.add_input("input", grouping=["pair"])
        self.sums: dict[str, NDArray[np.float64]] = {}
        self.windows: dict[str, int] = defaultdict(int)

    def _process(self, item: dict[str, Any]) -> None:
        pair = item["pair"]
        self.sums[pair] = self.sums.get(pair, 0.0) + item["correlation"]
        self.windows[pair] += 1

    def postprocess(self) -> None:
        for pair, total in self.sums.items():
            stack = total / self.windows[pair]
            lag = (int(np.argmax(stack)) - len(stack) // 2) / RATE
            self.write("output", {"pair": pair, "lag": lag, "stack": stack})


def build() -> WorkflowGraph:
    """Return the graph."""
    prepare, cut, pairs, stack = Prepare(), Cut(), Correlate(), Stack()
    for pe in (prepare, pairs, stack):  # most of the work
        pe.numprocesses = 2
    graph = WorkflowGraph()
    graph.connect(ReadRecords(), "output", prepare, "input")
    graph.connect(prepare, "output", Pick(), "input")
    graph.connect(prepare, "output", cut, "input")
    graph.connect(cut, "output", Spectrum(), "input")
    graph.connect(cut, "output", pairs, "input")
    graph.connect(pairs, "output", stack, "input")
    return graph


graph = build()
