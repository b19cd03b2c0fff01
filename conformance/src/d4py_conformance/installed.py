"""All installed mappings, tested: what ``dispel4py-conformance report`` runs by itself."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import pytest

from d4py_conformance.mapping_suite import MappingConformance
from dispel4py.registry import ENTRY_POINT_GROUP

#: Processes of a run, on mappings that have any.
PROCESSES = 4


def installed_mappings() -> list[str]:
    """Return the names of the installed mappings, each mapping once, whatever its aliases."""
    found: dict[str, str] = {}
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
        found.setdefault(entry.value, entry.name)
    return list(found.values())


class TestInstalledMappings(MappingConformance):
    """The suite on each of them."""

    @pytest.fixture(params=installed_mappings())
    def mapping(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def options(self, mapping: str) -> dict[str, Any]:
        return {} if mapping == "simple" else {"processes": PROCESSES}
