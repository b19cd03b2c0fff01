"""How much light of each galaxy its own dust absorbs.

The positions of galaxies come from a VOTable.  A service of the Virtual Observatory is asked for
what is there, and from the galaxy's type and its axes follows its internal extinction, in
magnitudes: g(T) log₁₀ r₂₅, where r₂₅ is the ratio of the axes and g(T) = 1.5 − 0.03 (T − 5)² for
spirals, 0 for elliptical galaxies, which have little dust (G. de Vaucouleurs et al., *Third
Reference Catalogue of Bright Galaxies*, 1991).

No PE keeps state, so every mapping runs it, also those that share all work between their workers.
`vo_service` is a service on this machine, and writes a table of positions:

```console
$ python -m d4py_examples.real.vo_service galaxies.vot --count 500 &
http://127.0.0.1:8765/cone
$ dispel4py dyn_multi d4py_examples.real.galaxies -n 8 \
    -d '{"Positions": [{"file": "galaxies.vot"}]}'
```
"""

import math
import os
from typing import Any, TypedDict

from astropy.table import Table
from pyvo.dal import SCSService

from dispel4py import IterativePE, ProducerPE, WorkflowGraph

#: Where the service is.
SERVICE = os.environ.get("CONE_SEARCH", "http://127.0.0.1:8765/cone")
#: Degrees around a position in which the galaxy is.
RADIUS = 0.01
#: De Vaucouleurs' numerical stages of the Hubble sequence, without bars.
STAGES = {
    **{"E": -5, "E-S0": -3, "S0": -2, "S0-a": 0, "Sa": 1, "Sab": 2, "Sb": 3, "Sbc": 4},
    **{"Sc": 5, "Scd": 6, "Sd": 7, "Sm": 9, "I": 10},
}


class Galaxy(TypedDict):
    """A galaxy of the service: `axes` is the ratio of the major to the minor one."""

    name: str
    hubble: str
    axes: float


class Positions(ProducerPE):
    """Sends name and place [degrees] of each galaxy of a VOTable."""

    def _process(self, inputs: dict[str, Any]) -> None:
        for row in Table.read(inputs["file"], format="votable"):
            place = {"name": str(row["name"]), "ra": float(row["ra"]), "dec": float(row["dec"])}
            self.write("output", place)


class ConeSearch(IterativePE):
    """Asks a service for the galaxy at a place, and sends it if its type and axes are known.

    Most of the time of a call is waiting, so it is worth while to have more workers than cores.

    Args:
        service: address of a Simple Cone Search service.
    """

    def __init__(self, service: str = SERVICE) -> None:
        super().__init__()
        self.service = service

    def _process(self, place: dict[str, Any]) -> Galaxy | None:
        found = SCSService(self.service).search((place["ra"], place["dec"]), RADIUS).to_table()
        for row in found:
            if row["name"] == place["name"] and row["hubble"] and row["minax"] > 0:
                axes = float(row["majax"]) / float(row["minax"])
                return {"name": place["name"], "hubble": str(row["hubble"]), "axes": axes}
        return None


class InternalExtinction(IterativePE):
    """Adds the stage of the Hubble sequence, and the internal extinction [magnitudes]."""

    def _process(self, galaxy: Galaxy) -> dict[str, Any] | None:
        # SBc and SABc are Sc with a bar.
        hubble = galaxy["hubble"].replace("SAB", "S").replace("SB", "S").replace("IAB", "I")
        stage = STAGES.get(hubble.replace("IB", "I"))
        if stage is None:  # "S?" and the like
            return None
        return {**galaxy, "stage": stage, "extinction": extinction(stage, galaxy["axes"])}


def extinction(stage: int, axes: float) -> float:
    """Return the internal extinction of a galaxy, in magnitudes.

    Args:
        stage: numerical stage of the Hubble sequence, from -5 (elliptical) to 10 (irregular).
        axes: major by minor axis.
    """
    dust = 1.5 - 0.03 * (stage - 5) ** 2 if stage >= 0 else 0.0
    return dust * math.log10(axes)


def build(service: str = SERVICE) -> WorkflowGraph:
    """Return the graph, for a service."""
    search = ConeSearch(service)
    search.numprocesses = 4
    graph = WorkflowGraph()
    graph.connect(Positions(), "output", search, "input")
    graph.connect(search, "output", InternalExtinction(), "input")
    return graph


graph = build()
