"""Picture of `sentiment`: the mood of reviews by what their authors gave, and by state."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure


def draw(outputs: Mapping[str, Mapping[str, list[Any]]]) -> Figure:
    """Return the figure.

    Args:
        outputs: what a run of the workflow has returned.
    """
    [top] = outputs["TopK5"]["output"]
    by_stars = sorted(outputs["MoodByStars2"]["output"], key=lambda mean: mean["stars"])
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    names = {"great": "five stars", "other": "fewer"}
    bars = left.bar(
        [names[mean["stars"]] for mean in by_stars], [mean["mood"] for mean in by_stars], color="C1"
    )
    left.bar_label(bars, [f"{mean['reviews']} reviews" for mean in by_stars])
    left.set(title="By what the authors gave", ylabel="mean mood (-1 to 1)")
    bars = right.bar([mean["state"] for mean in top], [mean["mood"] for mean in top], color="C2")
    right.bar_label(bars, [f"{mean['reviews']} reviews" for mean in top])
    right.set(title="The top states that reviews name")
    left.margins(y=0.12)
    return figure
