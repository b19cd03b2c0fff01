"""Daily means of weather sensors, and days that stand out, from readings out of order.

The readings are a year of hourly ones from two weather stations (TMY3 of NREL, which come with
pvlib). They arrive as from a field: each some hours late, and a few after days.  `Check` drops
what no sensor can have measured.  `TimeWindows` puts a sensor's readings together by the day in
which they were *taken*; it waits for six hours, and what comes later still leaves by the output
``late``, to be counted.  `Anomalies` compares each daily mean with those of the 30 days before.

```console
$ dispel4py multi d4py_examples.real.sensors -n 8
```
"""

import math
import statistics
from collections import deque
from importlib.resources import files
from typing import Any, TypedDict

import numpy as np
from pvlib.iotools import read_tmy3

from d4py_examples.cookbook.windows import TimeWindows, Window
from dispel4py import IterativePE, ProducerPE, WorkflowGraph

STATIONS = {
    "Greensboro": str(files("pvlib") / "data" / "723170TYA.CSV"),
    "Sand Point": str(files("pvlib") / "data" / "703165TY.csv"),
}
#: Quantity → lowest and highest value that a sensor can measure.
RANGES = {
    "temp_air": (-60.0, 60.0),  # °C
    "relative_humidity": (0.0, 100.0),  # %
    "pressure": (850.0, 1090.0),  # hPa
    "wind_speed": (0.0, 75.0),  # m/s
}
HOUR = 3600.0
DAY = 24 * HOUR
#: How long the window of a day waits for readings.
LATENESS = 6 * HOUR


class Reading(TypedDict):
    """What a sensor has measured, and when, in seconds since 1970."""

    sensor: str
    time: float
    value: float


class Readings(ProducerPE):
    """Sends the readings of all sensors in the order in which they arrive.

    Args:
        seed: seed of the delays.
    """

    def __init__(self, seed: int = 1) -> None:
        super().__init__()
        self.seed = seed

    def _process(self, inputs: dict[str, Any]) -> None:
        hours = inputs.get("hours", 8760)
        readings: list[Reading] = []
        for station, path in STATIONS.items():
            table, _ = read_tmy3(path, coerce_year=1990)
            seconds = (table.index - table.index[0]).total_seconds()
            for quantity in RANGES:
                sensor = f"{station} {quantity}"
                for time, value in zip(seconds[:hours], table[quantity][:hours], strict=True):
                    readings.append({"sensor": sensor, "time": time, "value": float(value)})
        taken = np.array([reading["time"] for reading in readings])
        for i in np.argsort(taken + self._delays(len(readings)), kind="stable"):
            self.write("output", readings[i])

    def _delays(self, count: int) -> np.ndarray:
        """Return seconds: some hours for most readings, days for one in two hundred."""
        random = np.random.default_rng(self.seed)
        lost = random.random(count) < 0.005
        return random.uniform(0, 4 * HOUR, count) + lost * random.uniform(DAY, 3 * DAY, count)


class Check(IterativePE):
    """Drops readings that are missing, or outside what a sensor can measure."""

    def _process(self, reading: Reading) -> Reading | None:
        quantity = reading["sensor"].rpartition(" ")[2]
        lowest, highest = RANGES[quantity]
        return reading if lowest <= reading["value"] <= highest else None


class Mean(IterativePE):
    """Sends the mean of the readings of a window."""

    def _process(self, window: Window) -> dict[str, Any]:
        values = [reading["value"] for reading in window["items"]]
        # fsum is exact, so the mean does not depend on the order in which readings have come.
        mean = math.fsum(values) / len(values)
        return {
            "sensor": window["key"],
            "day": round(window["start"] / DAY),
            "mean": mean,
            "readings": len(values),
        }


class Anomalies(IterativePE):
    """Sends the days whose mean is far from those before.

    Args:
        days: how many days before a day is compared with.
        threshold: how many of their standard deviations are far.
    """

    def __init__(self, days: int = 30, threshold: float = 3.0) -> None:
        super().__init__()
        # `Mean` has several instances, so days could overtake each other on their way here.
        self.add_input("input", grouping=["sensor"], ordered=True)
        self.days = days
        self.threshold = threshold
        self.before: dict[str, deque[float]] = {}

    def _process(self, day: dict[str, Any]) -> dict[str, Any] | None:
        before = self.before.setdefault(day["sensor"], deque(maxlen=self.days))
        found = None
        if len(before) == self.days:
            spread = statistics.stdev(before)
            score = (day["mean"] - statistics.fmean(before)) / spread if spread else 0.0
            if abs(score) > self.threshold:
                found = {**day, "score": score}
        before.append(day["mean"])
        return found


def build() -> WorkflowGraph:
    """Return the graph."""
    readings, check = Readings(), Check()
    windows, mean = TimeWindows(DAY, LATENESS, key="sensor"), Mean()
    anomalies = Anomalies()
    for pe in (windows, mean, anomalies):
        pe.numprocesses = 2
    graph = WorkflowGraph()
    graph.connect(readings, "output", check, "input")
    graph.connect(check, "output", windows, "input")
    graph.connect(windows, "output", mean, "input")
    graph.connect(mean, "output", anomalies, "input")
    return graph


graph = build()
