"""Picture of `grids`: maps of the yearly mean and of the month of the maximum, and zonal means."""

from collections.abc import Mapping
from typing import Any

import xarray as xr
from matplotlib.figure import Figure


def draw(outputs: Mapping[str, Mapping[str, list[Any]]]) -> Figure:
    """Return the figure.

    Args:
        outputs: what a run of the workflow has returned.
    """
    maps = xr.combine_by_coords(outputs["Climate1"]["maps"])
    [zonal] = outputs["ZonalMean2"]["output"]
    # An eighth of a degree is enough for a picture.
    step = max(1, maps.sizes["lat"] // 540)
    maps = maps.isel(lat=slice(None, None, step), lon=slice(None, None, step))
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=[3, 3, 2])
    maps["mean"].plot(ax=left, cmap="viridis", vmin=2, vmax=6, cbar_kwargs={"label": ""})
    left.set(title="Yearly mean of the Linke turbidity", xlabel="", ylabel="latitude")
    maps["peak"].plot(
        ax=middle, cmap="twilight", levels=range(1, 14), cbar_kwargs={"label": "month"}
    )
    middle.set(title="Month of the maximum", xlabel="", ylabel="")
    zonal.sortby("lat").transpose("lat", "month").plot(
        ax=right, cmap="viridis", cbar_kwargs={"label": ""}
    )
    right.set(title="Zonal mean", ylabel="")
    return figure
