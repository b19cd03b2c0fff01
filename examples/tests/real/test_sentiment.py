"""The workflow of reviews finds the means that pandas computes from the whole table."""

import pandas as pd
import pytest
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from d4py_examples.pictures import sentiment as picture
from d4py_examples.real import sentiment
from dispel4py import run

FIRST = 400
INPUTS = {"Reviews": [{"first": FIRST}]}


@pytest.fixture(scope="module")
def reviews():
    """Return a table of the reviews, with their moods."""
    parts = [pd.read_pickle(path, compression="xz").head(FIRST) for path in sentiment.DATA]
    table = pd.concat(parts, ignore_index=True)
    analyzer = SentimentIntensityAnalyzer()
    return table.assign(mood=[analyzer.polarity_scores(t)["compound"] for t in table["review"]])


@pytest.fixture(scope="module")
def states(reviews):
    """Return a table of state, mood and number of reviews, the best mood first."""
    rows = []
    for name in sentiment.STATES:
        # "Virginia" is not named where "West Virginia" is.
        text = reviews["review"].str.replace(
            "West Virginia", "" if name == "Virginia" else "West Virginia"
        )
        moods = reviews["mood"][text.str.contains(rf"\b{name}\b")]
        rows.append((name, moods.mean(), len(moods)))
    table = pd.DataFrame(rows, columns=["state", "mood", "reviews"])
    return table.sort_values(["mood", "state"], ascending=False)


@pytest.fixture(scope="module")
def outputs(run_stateful):
    return run_stateful(sentiment.build(fewest=2), INPUTS)


def test_moods_by_stars_are_means_of_the_table(outputs, reviews):
    found = {m["stars"]: (m["mood"], m["reviews"]) for m in outputs["MoodByStars2"]["output"]}
    groups = reviews.groupby("score")["mood"]
    assert found == {stars: (pytest.approx(moods.mean()), len(moods)) for stars, moods in groups}
    assert found["great"][0] > found["other"][0]  # the lexicon is worth something


def test_top_states_are_those_of_the_table(outputs, states):
    [top] = outputs["TopK5"]["output"]
    expected = states[states["reviews"] >= 2].head(3)
    assert [(m["state"], m["reviews"]) for m in top] == list(
        zip(expected["state"], expected["reviews"], strict=True)
    )
    assert [m["mood"] for m in top] == pytest.approx(list(expected["mood"]))


def test_there_are_fifty_states():
    assert len(set(sentiment.STATES)) == 50
    assert sentiment.STATE.findall("West Virginia, Virginia and New York") == [
        "West Virginia",
        "Virginia",
        "New York",
    ]


def test_picture_shows_the_results(is_picture):
    is_picture(picture.draw(run(sentiment.build(fewest=1), inputs=INPUTS).outputs))
