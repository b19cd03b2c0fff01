"""The mapping `custom` keeps the rules."""

import pytest

from d4py_conformance import MappingConformance


class TestCustom(MappingConformance):
    @pytest.fixture
    def mapping(self):
        return "custom"

    @pytest.fixture
    def options(self):
        return {}

    @pytest.mark.xfail(
        reason="Python cannot end a thread in the middle of a call", strict=True, run=False
    )
    def test_c4_a_stop_during_a_long_call(self):
        """A mapping with worker processes can, by a signal."""

    @pytest.mark.xfail(
        reason="threads of one process print in pieces, as those of any Python program do",
        strict=True,
        run=False,
    )
    def test_c2_lines_are_whole(self):
        """A line of another thread may come between the words of one print()."""
