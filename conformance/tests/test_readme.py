"""The page for authors names what a mapping like its example cannot keep."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
EXAMPLE = TOP / "examples" / "custom_mapping" / "tests" / "test_custom.py"


@pytest.mark.parametrize("name", re.findall(r"def (test_\w+)", EXAMPLE.read_text()))
def test_what_the_example_overrides_is_on_the_page(name):
    assert name in (TOP / "conformance" / "README.md").read_text()
