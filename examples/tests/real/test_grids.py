"""The workflow of grids computes the maps and means that NumPy computes from the whole file."""

import h5py
import numpy as np
import pytest
import xarray as xr

from d4py_examples.pictures import grids as picture
from d4py_examples.real import grids
from dispel4py import run

STEP = 12
#: So small that there are several of them.
TILE = (45, 180)
#: The rows are read in two calls, which workers may share.
INPUTS = {"Tiles": [{"step": STEP, "rows": (0, 50)}, {"step": STEP, "rows": (50, 180)}]}


@pytest.fixture(scope="module")
def cube():
    """Return the array (lat, lon, month) of turbidities."""
    with h5py.File(grids.CUBE) as file:
        return file["LinkeTurbidity"][::STEP, ::STEP] / 20.0


@pytest.fixture(scope="module")
def outputs(run_stateful):
    return run_stateful(grids.build(TILE), INPUTS)


def test_maps_of_tiles_make_those_of_the_cube(outputs, cube):
    maps = xr.combine_by_coords(outputs["Climate1"]["maps"]).sortby("lat", ascending=False)
    np.testing.assert_allclose(maps["mean"], cube.mean(axis=2))
    np.testing.assert_allclose(maps["range"], np.ptp(cube, axis=2))
    np.testing.assert_array_equal(maps["peak"], cube.argmax(axis=2) + 1)


def test_zonal_means_are_those_of_the_cube(outputs, cube):
    [zonal] = outputs["ZonalMean2"]["output"]
    zonal = zonal.sortby("lat", ascending=False)
    np.testing.assert_allclose(zonal.transpose("lat", "month"), cube.mean(axis=1))


def test_picture_shows_the_results(is_picture):
    is_picture(picture.draw(run(grids.build(TILE), inputs=INPUTS).outputs))
