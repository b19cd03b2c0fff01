"""Joins, repetitions and the largest are the same however items are spread over instances."""

import pytest

from d4py_examples.cookbook.keys import Deduplicate, JoinByKey, TopK
from dispel4py.testing import feed

INSTANCES = pytest.mark.parametrize("instances", [1, 3])


@INSTANCES
def test_pairs_of_equal_keys_are_joined(instances):
    stations = [{"code": code, "height": height} for height, code in enumerate("ABC")]
    picks = [{"station": code, "time": time} for time, code in enumerate("ABABD")]
    items = [{"right": picks[0]}, *[{"left": station} for station in stations]]
    items += [{"right": pick} for pick in picks[1:]]
    pairs = feed(JoinByKey("code", "station"), items, instances=instances)["output"]
    found = sorted((pick["time"], station["height"]) for station, pick in pairs)
    assert found == [(0, 0), (1, 1), (2, 0), (3, 1)]
    assert {pick["station"] == station["code"] for station, pick in pairs} == {True}


@INSTANCES
def test_the_first_of_each_key_is_kept(instances):
    items = [{"id": n % 7, "n": n} for n in range(50)]
    kept = feed(Deduplicate("id"), items, instances=instances)["output"]
    assert sorted(item["n"] for item in kept) == list(range(7))


def test_old_keys_are_dropped_where_there_are_too_many():
    ids = [1, 2, 1, 3, 1, 2]
    kept = feed(Deduplicate("id", remember=2), [{"id": n} for n in ids])["output"]
    assert [item["id"] for item in kept] == [1, 2, 3, 1, 2]


@INSTANCES
def test_the_largest_are_sorted_and_ties_follow_the_next_field(instances):
    items = [{"score": n % 5, "name": n} for n in range(40)]
    [best] = feed(TopK(3, by=["score", "name"]), items, instances=instances)["output"]
    assert best == [{"score": 4, "name": n} for n in (39, 34, 29)]
