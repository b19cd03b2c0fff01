"""The workflow of sensors finds the means and anomalies that pandas finds in the whole table."""

import numpy as np
import pandas as pd
import pytest
from pvlib.iotools import read_tmy3

from d4py_examples.pictures import sensors as picture
from d4py_examples.real import sensors
from dispel4py import run

#: Six weeks: the days of the last two are compared with the month before.
HOURS = 24 * 45
INPUTS = {"Readings": [{"hours": HOURS}]}
DAY, LATENESS = 86400.0, 6 * 3600.0


@pytest.fixture(scope="module")
def arrivals():
    """Return a table of the readings that sensors can have measured, in the order of arrival."""
    parts = []
    for station, path in sensors.STATIONS.items():
        table, _ = read_tmy3(path, coerce_year=1990)
        columns = table[list(sensors.RANGES)].head(HOURS)
        columns.index = (columns.index - columns.index[0]) // pd.Timedelta(seconds=1)
        columns.columns = f"{station} " + columns.columns
        parts.append(columns.melt(var_name="sensor", ignore_index=False))
    readings = pd.concat(parts).rename_axis("time").reset_index()
    random = np.random.default_rng(1)
    lost = random.random(len(readings)) < 0.005
    delays = random.uniform(0, 4 * 3600, len(readings))
    delays += lost * random.uniform(DAY, 3 * DAY, len(readings))
    order = np.argsort(readings["time"] + delays, kind="stable")
    readings = readings.iloc[order]
    limits = pd.DataFrame(sensors.RANGES, index=["low", "high"])
    limits = limits[readings["sensor"].str.split(" ").str[-1]]
    possible = readings["value"].between(limits.loc["low"].values, limits.loc["high"].values)
    return readings[possible.values].reset_index(drop=True)


@pytest.fixture(scope="module")
def in_time(arrivals):
    """Return which readings come before their day is over by six hours, by their sensor's clock."""
    latest = arrivals.groupby("sensor")["time"].cummax() - LATENESS
    before = latest.groupby(arrivals["sensor"]).shift(fill_value=-np.inf)
    return arrivals["time"] // DAY * DAY + DAY > before


@pytest.fixture(scope="module")
def days(arrivals, in_time):
    """Return a table (day × sensor) of means."""
    readings = arrivals[in_time].assign(day=lambda table: (table["time"] // DAY).astype(int))
    return readings.pivot_table(index="day", columns="sensor", values="value", aggfunc="mean")


@pytest.fixture(scope="module")
def outputs(run_stateful):
    return run_stateful(sensors.graph, INPUTS)


def test_late_readings_are_those_after_the_watermark(outputs, arrivals, in_time):
    late = outputs["TimeWindows2"]["late"]
    expected = arrivals[~in_time]
    assert 20 < len(expected) < 200
    found = pd.DataFrame(late).sort_values(["sensor", "time"], ignore_index=True)
    expected = expected.sort_values(["sensor", "time"], ignore_index=True)
    pd.testing.assert_frame_equal(found[["time", "sensor", "value"]], expected, check_dtype=False)


def test_anomalies_are_days_far_from_the_month_before(outputs, days):
    found = outputs["Anomalies4"]["output"]
    months = np.lib.stride_tricks.sliding_window_view(days[:-1], 30, axis=0)
    spread = months.std(axis=2, ddof=1)
    # A sensor that is stuck has no days that stand out.
    scores = (days[30:] - months.mean(axis=2)) / np.where(spread > 0, spread, np.inf)
    far = scores.stack()[lambda score: score.abs() > 3.0].to_dict()
    assert {(day["day"], day["sensor"]): day["score"] for day in found} == pytest.approx(far)
    assert found


def test_picture_shows_the_results(is_picture):
    is_picture(picture.draw(run(sensors.graph, inputs=INPUTS).outputs))
