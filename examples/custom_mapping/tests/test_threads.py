"""The mapping `threads` keeps the rules."""

import pytest

from d4py_conformance import MappingConformance


class TestThreads(MappingConformance):
    @pytest.fixture
    def mapping(self):
        return "threads"

    @pytest.fixture
    def options(self):
        return {}
