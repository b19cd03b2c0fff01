"""Picture of `galaxies`: the internal extinction by type and by the ratio of the axes."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure


def draw(outputs: Mapping[str, Mapping[str, list[Any]]]) -> Figure:
    """Return the figure.

    Args:
        outputs: what a run of the workflow has returned.
    """
    galaxies = outputs["InternalExtinction2"]["output"]
    stages = [galaxy["stage"] for galaxy in galaxies]
    extinctions = [galaxy["extinction"] for galaxy in galaxies]
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    colours = [galaxy["axes"] for galaxy in galaxies]
    points = axes.scatter(stages, extinctions, c=colours, s=14, vmax=6)
    figure.colorbar(points, label="major / minor axis", extend="max")
    names = {"E": -5, "S0": -2, "Sa": 1, "Sb": 3, "Sc": 5, "Sd": 7, "Sm": 9, "I": 10}
    axes.set_xticks(list(names.values()), list(names))
    axes.set(
        title=f"Internal extinction of {len(galaxies)} galaxies",
        xlabel="type",
        ylabel="extinction [mag]",
    )
    return figure
