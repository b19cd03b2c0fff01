"""The workflow of galaxies gets the extinctions that pandas computes from the catalogue."""

import sqlite3
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pandas as pd
import pytest
from pyvo.dal import SCSService

from d4py_examples.pictures import galaxies as picture
from d4py_examples.real import galaxies, vo_service
from dispel4py import run

COUNT = 30


@pytest.fixture(scope="module")
def service():
    with vo_service.serve() as url:
        yield url


@pytest.fixture(scope="module")
def positions(tmp_path_factory):
    path = tmp_path_factory.mktemp("galaxies") / "positions.vot"
    vo_service.write_positions(path, COUNT)
    return {"file": str(path)}


@pytest.fixture(scope="module")
def catalogue():
    """Return the galaxies of the input as a table."""
    with sqlite3.connect(vo_service.CATALOGUE) as database:
        table = pd.read_sql("SELECT * FROM objects ORDER BY name", database)
    database.close()
    return table[(table["type"] == "G") & table["ra"].notna() & (table["notngc"] == 0)]


def expected_extinctions(catalogue):
    """Return name → extinction, by the rows of the RC3."""
    gamma = {"E": 0, "E-S0": 0, "S0": 0, "S0-a": 0.75, "a": 1.02, "ab": 1.23, "b": 1.38, "bc": 1.47}
    gamma |= {"c": 1.5, "cd": 1.47, "d": 1.38, "m": 1.02, "I": 0.75, "IB": 0.75, "IAB": 0.75}
    table = catalogue.head(COUNT)
    table = table[table["majax"].notna() & table["minax"].notna()]
    spirals = table["hubble"].str.extract(r"^S(?:B|AB)?([a-d]{1,2}|m)$")[0]
    factor = spirals.fillna(table["hubble"]).map(gamma)
    values = factor * np.log10(table["majax"] / table["minax"])
    return values.set_axis(table["name"]).dropna().to_dict()


def test_extinctions_are_those_of_the_catalogue(run_stateless, service, positions, catalogue):
    outputs = run_stateless(galaxies.build(service), {"Positions": [positions]})
    found = outputs["InternalExtinction2"]["output"]
    assert {g["name"]: g["extinction"] for g in found} == pytest.approx(
        expected_extinctions(catalogue)
    )
    assert len(found) > COUNT / 2


def test_service_answers_with_the_galaxies_of_a_cone(service, catalogue):
    """Andromeda and what is near it, by the dot products of directions."""
    andromeda = catalogue[catalogue["name"] == "NGC0224"].iloc[0]

    def direction(g):
        return np.array([np.cos(g.ra) * np.cos(g.dec), np.sin(g.ra) * np.cos(g.dec), np.sin(g.dec)])

    near = direction(catalogue).T @ direction(andromeda) >= np.cos(np.radians(1.0))
    place = np.degrees((andromeda.ra, andromeda.dec))
    found = SCSService(service).search(place, 1.0).to_table()
    assert set(found["name"]) == set(catalogue[near]["name"])
    assert {"NGC0221", "NGC0224"} <= set(found["name"])


@pytest.mark.parametrize("query", ["", "?RA=1&DEC=2", "?RA=1&DEC=2&SR=far"])
def test_service_refuses_what_is_no_cone(service, query):
    with pytest.raises(HTTPError, match="400"):
        urlopen(service + query, timeout=30)


def test_picture_shows_the_results(is_picture, service, positions):
    graph = galaxies.build(service)
    is_picture(picture.draw(run(graph, inputs={"Positions": [positions]}).outputs))
