"""`dispel4py.mapping` has all that the author of a mapping imports."""

import ast
from pathlib import Path

import pytest

import dispel4py
from dispel4py import mapping

EXAMPLES = Path(__file__).parents[3] / "examples"
SOURCES = [
    *(EXAMPLES / "custom_mapping" / "src").rglob("*.py"),
    *(EXAMPLES / "dask_mapping" / "src").rglob("*.py"),
]


def test_every_public_name_can_be_imported_and_the_list_is_sorted():
    assert all(getattr(mapping, name) is not None for name in mapping.__all__)
    assert mapping.__all__ == sorted(mapping.__all__)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Zygote'"):
        mapping.Zygote  # noqa: B018


@pytest.mark.skipif(not SOURCES, reason="the examples are not here")
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_example_mappings_import_of_core_only_the_public_names(source):
    public = {"dispel4py": set(dispel4py.__all__), "dispel4py.mapping": set(mapping.__all__)}
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("dispel4py.") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dispel4py"):
            assert {alias.name for alias in node.names} <= public.get(node.module, set())
