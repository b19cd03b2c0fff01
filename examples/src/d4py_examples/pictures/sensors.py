"""Picture of `sensors`: the days that stand out, and how many readings came too late."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure


def draw(outputs: Mapping[str, Mapping[str, list[Any]]]) -> Figure:
    """Return the figure.

    Args:
        outputs: what a run of the workflow has returned.
    """
    anomalies = outputs["Anomalies4"]["output"]
    late = Counter(reading["sensor"] for reading in outputs["TimeWindows2"]["late"])
    figure = Figure(figsize=(10, 4))
    figure.set_layout_engine("constrained", wspace=0.06)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    sensors = sorted(late | Counter(day["sensor"] for day in anomalies), reverse=True)
    points = left.scatter(
        [day["day"] for day in anomalies],
        [sensors.index(day["sensor"]) for day in anomalies],
        c=[day["score"] for day in anomalies],
        cmap="coolwarm",
        vmin=-8,
        vmax=8,
        edgecolors="0.3",
    )
    figure.colorbar(points, ax=left, label="standard deviations", pad=0.03)
    left.set_yticks(range(len(sensors)), [sensor.replace("_", " ") for sensor in sensors])
    left.set(title="Days that stand out", xlabel="day of the year")
    right.barh(range(len(sensors)), [late[sensor] for sensor in sensors], color="0.6")
    right.set(title="Late readings", xlabel="number")
    return figure
