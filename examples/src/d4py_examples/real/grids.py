"""The climate of a global grid, computed in tiles on all cores.

The cube is the Linke turbidity of the atmosphere, how much it dims the sun: twelve months on a
grid of 5 arc minutes, 2160 × 4320 points (J. Remund et al., *Worldwide Linke turbidity
information*, ISES 2003; it comes with pvlib as an HDF5 file, which NetCDF 4 is).  It is larger
than a PE should hold at once, so `Tiles` sends it in pieces of some megabytes, as `DataArray`s.
Where PEs are in different processes of one machine, the numbers of an array travel in shared
memory, without a copy through a pipe.  `Climate` (map) reduces a tile to maps of the yearly mean,
the range and the month of the maximum, and to sums per circle of latitude; `ZonalMean` (reduce)
adds these up.

```console
$ dispel4py multi d4py_examples.real.grids -n 6 --output tiles.pkl
```

For a cube of your own, in NetCDF or zarr, change `open_cube`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import numpy as np
import xarray as xr

from dispel4py import GenericPE, IterativePE, ProducerPE, WorkflowGraph

CUBE = str(files("pvlib") / "data" / "LinkeTurbidities.h5")
#: The file has whole numbers: twenty times the turbidity.
SCALE = 20.0
#: Points in a tile: rows from north to south, columns from west to east.
TILE = (360, 1080)


@contextmanager
def open_cube(path: str = CUBE, step: int = 1) -> Iterator[xr.DataArray]:
    """Open a cube for the time of a ``with`` statement; its values are read when they are used.

    Args:
        path: the file.
        step: keep each such point of the grid only.

    Yields:
        An array (lat, lon, month) of whole numbers.
    """
    with xr.open_dataset(path, engine="h5netcdf", phony_dims="sort") as file:
        cube = file["LinkeTurbidity"]
        rows, columns, months = cube.shape
        cube = cube.rename(dict(zip(cube.dims, ("lat", "lon", "month"), strict=True)))
        coordinates = {  # of the centres of the grid's cells, from the north-west
            "lat": 90.0 - (np.arange(rows) + 0.5) * 180.0 / rows,
            "lon": -180.0 + (np.arange(columns) + 0.5) * 360.0 / columns,
            "month": np.arange(1, months + 1),
        }
        yield cube.assign_coords(coordinates)[::step, ::step]


class Tiles(ProducerPE):
    """Sends the cube in tiles.  A call may read a part of the rows, so that workers share a file.

    Args:
        size: number of rows and of columns in a tile.
    """

    independent_calls = True

    def __init__(self, size: tuple[int, int] = TILE) -> None:
        super().__init__()
        self.size = size

    def _process(self, inputs: dict[str, Any]) -> None:
        high, wide = self.size
        with open_cube(inputs.get("file", CUBE), inputs.get("step", 1)) as cube:
            first, last = inputs.get("rows", (0, cube.sizes["lat"]))
            for row in range(first, last, high):
                for column in range(0, cube.sizes["lon"], wide):
                    tile = cube[row : min(row + high, last), column : column + wide]
                    self.write("output", tile.load())


class Climate(GenericPE):
    """Map: sends the maps of a tile to `maps`, its sums along the circles of latitude to `sums`."""

    def __init__(self) -> None:
        super().__init__()
        self.add_input("input")
        self.add_output("maps")
        self.add_output("sums")

    def process(self, inputs: dict[str, Any]) -> dict[str, Any]:
        tile = inputs["input"] / SCALE
        maps = xr.Dataset(
            {
                "mean": tile.mean("month"),
                "range": tile.max("month") - tile.min("month"),
                "peak": tile.idxmax("month"),
            }
        )
        sums = xr.Dataset({"total": tile.sum("lon"), "points": tile.count("lon")})
        return {"maps": maps, "sums": sums}


class ZonalMean(IterativePE):
    """Reduce: sends the mean of each circle of latitude in each month, when all tiles have come."""

    def __init__(self) -> None:
        super().__init__()
        self.add_input("input", grouping="global")
        self.sums: xr.Dataset | None = None

    def _process(self, sums: xr.Dataset) -> None:
        if self.sums is None:
            self.sums = sums
        else:  # tiles beside each other are added, others put together
            together = xr.align(self.sums, sums, join="outer", fill_value=0)
            self.sums = together[0] + together[1]

    def postprocess(self) -> None:
        if self.sums is not None:
            self.write("output", self.sums["total"] / self.sums["points"])


def build(tile: tuple[int, int] = TILE) -> WorkflowGraph:
    """Return the graph, for tiles of a number of rows and columns."""
    climate = Climate()
    climate.numprocesses = 3
    graph = WorkflowGraph()
    graph.connect(Tiles(tile), "output", climate, "input")
    graph.connect(climate, "sums", ZonalMean(), "input")
    return graph


graph = build()
