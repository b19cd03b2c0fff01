"""Picture of `seismology`: picks, spectra, and the stacked correlations of pairs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from obspy import UTCDateTime

from d4py_examples.real.seismology import BAND, LONGEST_LAG


def draw(outputs: Mapping[str, Mapping[str, list[Any]]]) -> Figure:
    """Return the figure.

    Args:
        outputs: what a run of the workflow has returned.
    """
    picks = outputs["Pick2"]["output"]
    spectra = sorted(outputs["Spectrum4"]["output"], key=lambda item: item["station"])
    stacks = sorted(outputs["Stack6"]["output"], key=lambda item: item["pair"])
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)

    stations = [spectrum["station"] for spectrum in spectra]
    begin = min(UTCDateTime(pick["time"]) for pick in picks)
    for pick in picks:
        start = UTCDateTime(pick["time"]) - begin
        row = stations.index(pick["station"])
        left.barh(row, pick["seconds"], left=start, height=0.6, color=f"C{row}")
    left.set_yticks(range(len(stations)), stations)
    left.set(title="Picks", xlabel=f"seconds after {begin.strftime('%H:%M:%S')} UTC")

    for spectrum in spectra:
        middle.semilogy(spectrum["frequencies"], spectrum["power"], label=spectrum["station"])
    middle.axvspan(*BAND, color="0.92", zorder=0)
    middle.set(title="Mean power spectra", xlabel="frequency [Hz]", ylabel="power [counts²]")
    middle.legend()

    for row, stack in enumerate(stacks):
        lags = np.linspace(-LONGEST_LAG, LONGEST_LAG, len(stack["stack"]))
        right.plot(lags, row + 0.45 * stack["stack"] / np.abs(stack["stack"]).max(), "C0")
        right.plot(stack["lag"], row + 0.45, "v", color="C3", markersize=5)
    right.set_yticks(range(len(stacks)), [stack["pair"] for stack in stacks])
    right.set(title="Stacked correlations of pairs", xlabel="lag [s]")
    return figure
